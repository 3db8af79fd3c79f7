package admin

import (
	"context"

	"rempart/internal/matrix"
	"rempart/storage"
)

// Rows that are handed on as they are stored.
type (
	// ListedUser is an account in a list.
	ListedUser = storage.ListedUser
	// Task is long work and how far it is; TaskQuery chooses some.
	Task      = storage.AdminTask
	TaskQuery = storage.TaskQuery
	// MediaFile is a file with what is known of it.
	MediaFile = storage.MediaFile
	// Device is a device with where it was last used.
	Device = storage.DeviceSeen
	// Destination is another server and how far it has been told what happens here.
	Destination = storage.Destination
	// Pusher is a place where a user wants to be notified.
	Pusher = storage.Pusher
)

// Marks are what an account is, in words.
type Marks struct{ Guest, Admin, Deactivated, Erased, ShadowBanned, Locked, Suspended bool }

// MarksOf reads the marks of an account.
func MarksOf(f storage.UserFlag) Marks {
	return Marks{
		Guest: f.Has(storage.UserGuest), Admin: f.Has(storage.UserAdmin), Deactivated: f.Has(storage.UserDeactivated),
		Erased: f.Has(storage.UserErased), ShadowBanned: f.Has(storage.UserShadowBanned), Locked: f.Has(storage.UserLocked),
		Suspended: f.Has(storage.UserSuspended),
	}
}

// KnowsUserOrder reports whether accounts can be listed in an order of this name.
func KnowsUserOrder(name string) bool { return storage.UserOrders()[name] != "" }

// KnowsMediaOrder reports whether a user's files can be listed in an order of this name.
func KnowsMediaOrder(name string) bool { return storage.MediaOrders()[name] != "" }

// KnowsMediaUseOrder reports whether users can be listed by their files in an order of this name.
func KnowsMediaUseOrder(name string) bool { return storage.MediaUseOrders()[name] != "" }

// KnowsDestinationOrder reports whether destinations can be listed in an order of this name.
func KnowsDestinationOrder(name string) bool { return DestinationOrders()[name] != nil }

// Pushers lists where a user wants to be notified.
func (s *Service) Pushers(ctx context.Context, admin matrix.Caller, id matrix.UserID) ([]Pusher, error) {
	user, err := s.Accounts.Managed(ctx, admin, id)
	if err != nil {
		return nil, err
	}
	return s.DB.ListPushersOf(ctx, user.NID)
}
