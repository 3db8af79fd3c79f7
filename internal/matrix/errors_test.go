package matrix

import (
	"errors"
	"fmt"
	"io"
	"testing"
	"time"
)

func TestErrorChain(t *testing.T) {
	base := Forbidden("No.")
	wrapped := base.Wrap(io.EOF)
	err := fmt.Errorf("join room: %w", wrapped)
	if !errors.Is(err, io.EOF) || !HasCode(err, CodeForbidden) || HasCode(err, CodeNotFound) {
		t.Errorf("chain of %v", err)
	}
	if got := AsError(err); got != wrapped {
		t.Errorf("AsError: %v", got)
	}
	if errors.Is(base, io.EOF) || base.Error() != "M_FORBIDDEN: No." || wrapped.Error() != "M_FORBIDDEN: No.: EOF" {
		t.Errorf("%v, %v", base, wrapped)
	}
	if got := AsError(io.EOF); got.Status != 500 || got.Code != CodeUnknown || !errors.Is(got, io.EOF) || got.Message == "EOF" {
		t.Errorf("AsError of a stranger: %+v", got)
	}
}

func TestErrorCopies(t *testing.T) {
	base := UnknownToken(true)
	more := base.With("a", 1).French("Non.")
	if len(base.Extra) != 1 || base.Extra["soft_logout"] != true || base.MessageFR != "" {
		t.Errorf("With changed its receiver: %+v", base)
	}
	if len(more.Extra) != 2 || more.Extra["a"] != 1 || more.MessageFR != "Non." {
		t.Errorf("%+v", more)
	}
}

// Status and code by the specification.
func TestErrorConstructors(t *testing.T) {
	for _, c := range []struct {
		err    *Error
		status int
		code   string
	}{
		{Forbidden(""), 403, "M_FORBIDDEN"}, {NotFound(""), 404, "M_NOT_FOUND"}, {BadJSON(""), 400, "M_BAD_JSON"},
		{NotJSON(""), 400, "M_NOT_JSON"}, {InvalidParam(""), 400, "M_INVALID_PARAM"}, {MissingParam(""), 400, "M_MISSING_PARAM"},
		{Unrecognized(), 404, "M_UNRECOGNIZED"}, {MethodNotAllowed(), 405, "M_UNRECOGNIZED"},
		{UnknownToken(false), 401, "M_UNKNOWN_TOKEN"}, {MissingToken(), 401, "M_MISSING_TOKEN"}, {Unauthorized(""), 401, "M_UNAUTHORIZED"},
		{TooLarge(""), 413, "M_TOO_LARGE"}, {UserInUse(), 400, "M_USER_IN_USE"}, {InvalidUsername(""), 400, "M_INVALID_USERNAME"},
		{Exclusive(""), 400, "M_EXCLUSIVE"}, {UnsupportedRoomVersion(), 400, "M_UNSUPPORTED_ROOM_VERSION"},
		{BadState(""), 400, "M_BAD_STATE"}, {BadAlias(""), 400, "M_BAD_ALIAS"}, {RoomInUse(""), 400, "M_ROOM_IN_USE"},
		{InvalidRoomState(""), 400, "M_INVALID_ROOM_STATE"}, {Conflict(""), 409, "M_UNKNOWN"},
		{GuestForbidden(), 403, "M_GUEST_ACCESS_FORBIDDEN"}, {UserDeactivated(), 403, "M_USER_DEACTIVATED"},
		{UserLocked(), 401, "M_USER_LOCKED"}, {UserSuspended(), 403, "M_USER_SUSPENDED"}, {WeakPassword(""), 400, "M_WEAK_PASSWORD"},
		{InvalidSignature(""), 400, "M_INVALID_SIGNATURE"}, {UnableToAuthoriseJoin(""), 400, "M_UNABLE_TO_AUTHORISE_JOIN"},
		{UnableToGrantJoin(""), 400, "M_UNABLE_TO_GRANT_JOIN"}, {ResourceLimitExceeded("", "x"), 403, "M_RESOURCE_LIMIT_EXCEEDED"},
		{WrongRoomKeysVersion("1"), 403, "M_WRONG_ROOM_KEYS_VERSION"}, {IncompatibleRoomVersion("6"), 400, "M_INCOMPATIBLE_ROOM_VERSION"},
		{LimitExceeded(1500 * time.Microsecond), 429, "M_LIMIT_EXCEEDED"},
	} {
		if c.err.Status != c.status || c.err.Code != c.code {
			t.Errorf("%v: %d, want %d %s", c.err, c.err.Status, c.status, c.code)
		}
	}
	if got := LimitExceeded(1500 * time.Microsecond).Extra["retry_after_ms"]; got != int64(2) {
		t.Errorf("retry_after_ms: %v", got)
	}
	if IncompatibleRoomVersion("6").Extra["room_version"] != "6" || WrongRoomKeysVersion("1").Extra["current_version"] != "1" {
		t.Error("extra fields are missing")
	}
}
