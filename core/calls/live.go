package calls

import "rempart/internal/matrix"

// Call is a call under way, as administrators see it.
type Call struct {
	Room matrix.RoomID `json:"room_id"`
	// Participants are those who are connected to this node.
	Participants []Present `json:"participants"`
}

// Present is somebody who is connected.
type Present struct {
	User   matrix.UserID   `json:"user_id"`
	Device matrix.DeviceID `json:"device_id,omitempty"`
	// Since is when he came, in milliseconds; Tracks is how many he sends.
	Since  int64 `json:"joined_ts"`
	Tracks int   `json:"tracks"`
}
