package authrules

import "rempart/internal/matrix"

// checkCreate applies the rules for m.room.create.
// Spec: rooms/v1/#authorisation-rules, rooms/v11/#authorisation-rules, rooms/v12/#authorisation-rules, rule 1
func checkCreate(e *matrix.Event) error {
	if len(e.PrevEvents) > 0 {
		return forbid("a create event has no parents")
	}
	// Why: with another state key it could never be found as the room's create event.
	if !e.StateKeyEquals("") {
		return forbid("a create event has an empty state key")
	}
	content, err := e.CreateContent()
	if err != nil {
		return forbid("the create event's content is no object")
	}
	if _, known := matrix.Version(content.RoomVersion); content.HasRoomVersion && !known {
		return forbid("the room version is not known")
	}
	if e.Version.RoomIDIsCreateHash {
		return checkCreateV12(e, content)
	}
	if e.RoomID.Server() != e.Sender.Server() {
		return forbid("the room id belongs to another server than the sender")
	}
	if !content.HasCreator && !e.Version.ImplicitRoomCreator {
		return forbid("the create event names no creator")
	}
	return nil
}

// checkCreateV12 applies what version 12 says of room ids and creators. MSC4289, MSC4291
// That the event as written has no room_id is a matter of its format, which matrix.ParseUntrusted checks.
func checkCreateV12(e *matrix.Event, content *matrix.CreateContent) error {
	if e.RoomID.CreateEventID() != e.ID {
		return forbid("a create event has no room id of its own")
	}
	if content.BadCreators {
		return forbid("additional_creators is not a list of user ids")
	}
	return nil
}

// federates reports whether the room is open to other servers than its creator's.
func federates(create *matrix.Event) bool {
	content, err := create.CreateContent()
	return err != nil || content.Federate
}

// isFounder reports whether a user is the one that may join right after the create event.
// Spec: rooms/v1/#authorisation-rules, rule 5.2.1; rooms/v11/#authorisation-rules, rule 4.3.1
func isFounder(create *matrix.Event, user string) bool {
	if create.Version.ImplicitRoomCreator {
		return user == string(create.Sender)
	}
	content, err := create.CreateContent()
	return err == nil && user == string(content.Creator)
}
