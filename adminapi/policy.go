package adminapi

import (
	"context"

	"rempart/core/rooms"
	"rempart/internal/httpx"
	"rempart/internal/matrix"
)

// ownPrefix is where the routes are that no other server has.
const ownPrefix = "/_rempart/admin/v1"

// Policy is what decides where data may go, as its administrators ask about it. Its methods may be called concurrently.
type Policy interface {
	// Origin is the organisation that runs the installation; its administrators alone see decisions, which are about everybody.
	Origin() matrix.ServerName
	Status() PolicyStatus
	// Reload puts the policy file of now in force. When it returns, nothing more is sent to whom it refuses and all rooms have been
	// judged by it; a mistake leaves the old policy in force and is M_BAD_JSON with all mistakes.
	Reload(ctx context.Context) error
	// Check says what is wrong with a text, or deserves a second thought.
	Check(ctx context.Context, text string) PolicyCheck
	// WhatIf says what another text would decide differently, of all that is known and of what was recorded.
	WhatIf(ctx context.Context, q PolicySupposed) (PolicyFlips, error)
	// Explain says step by step how something is decided now.
	Explain(q PolicyQuestion) ([]string, error)
	// Decision finds a refusal by the id that its user was told; M_NOT_FOUND when it is not in memory any more.
	Decision(id string) (Decision, error)
	// Decisions lists refusals, the newest first, of one point unless it is "".
	Decisions(point string, most int) []Decision
	// Alarms lists what is wrong now, and what was found in rooms lately.
	Alarms(ctx context.Context, most int) (PolicyAlarms, error)
	// Closures lists what is in rooms against the policy, for one of our servers.
	Closures(ctx context.Context, tenant matrix.ServerName) ([]rooms.Found, error)
	// Points are the decision points.
	Points() []PolicyPoint
}

// PolicyStatus is the policy in force.
type PolicyStatus struct {
	Generation uint64 `json:"generation"`
	Policy     string `json:"policy_digest"`
	Geo        string `json:"geo_digest"`
	File       string `json:"file,omitempty"`
	LoadedTS   int64  `json:"loaded_ts"`
	Observe    bool   `json:"observe"`
	// Broken says that the file of now has mistakes and an older policy is in force.
	Broken   bool     `json:"broken"`
	Mistakes string   `json:"mistakes,omitempty"`
	Alarms   []string `json:"alarms"`
	// Rooms were judged by it, with users of so many other servers; so many are frozen.
	Rooms   int   `json:"rooms_judged"`
	Servers int   `json:"servers_judged"`
	Frozen  int   `json:"rooms_frozen"`
	TookMS  int64 `json:"judged_in_ms"`
	// Refused are servers that were last found where the policy admits nobody.
	Refused []matrix.ServerName `json:"servers_out_of_place"`
}

// PolicyCheck is what was found in a text.
type PolicyCheck struct {
	OK       bool     `json:"ok"`
	Policy   string   `json:"policy_digest,omitempty"`
	Mistakes []string `json:"mistakes"`
	Notes    []string `json:"notes"`
}

// PolicyFlips are the decisions that another policy would make differently.
type PolicyFlips struct {
	Flips []PolicyFlip `json:"flips"`
	// Asked is how many decisions were compared: of all known servers, and those of late.
	Asked int `json:"asked"`
	// Found is what would be in rooms against it.
	Found   []rooms.Found `json:"rooms"`
	Loosens int           `json:"loosens"`
	// Replayed is what the record of some time was judged again as, when that was asked for.
	Replayed *PolicyReplay `json:"replayed,omitempty"`
}

// PolicySupposed is another policy, and the time whose record is judged by it, in milliseconds; Since 0: none. Until 0: to now.
type PolicySupposed struct {
	Policy string `json:"policy"`
	Since  int64  `json:"since_ts"`
	Until  int64  `json:"until_ts"`
}

// PolicyReplay is what another policy makes of what was recorded.
type PolicyReplay struct {
	// Since is the time of the first record that was read: what is older was sealed away, or is not there.
	Since int64 `json:"since_ts"`
	// Records were read; Left of them do not say enough to be judged again.
	Records int64 `json:"records"`
	Left    int64 `json:"left_out"`
	// Refused and Admitted are how many records would be refused that are admitted now, and the other way round.
	Refused  int64 `json:"would_be_refused"`
	Admitted int64 `json:"would_be_admitted"`
	// Flips are by destination and rule, the most frequent first, at most a thousand.
	Flips []PolicyFlip `json:"flips"`
}

// PolicyFlip is one of them.
type PolicyFlip struct {
	Point   string            `json:"point"`
	Server  matrix.ServerName `json:"server,omitempty"`
	Host    string            `json:"host,omitempty"`
	Data    string            `json:"data,omitempty"`
	Tenant  matrix.ServerName `json:"tenant,omitempty"`
	Was     string            `json:"was"`
	Now     string            `json:"now"`
	Loosens bool              `json:"loosens"`
	// Records is how many records are about it; 0 where none were asked.
	Records int64 `json:"records,omitempty"`
}

// PolicyQuestion is a decision to be explained.
type PolicyQuestion struct {
	Point, Name, Address, Data string
	Tenant                     matrix.ServerName
}

// Decision is a refusal, or what would be one if its point were not only watched.
type Decision struct {
	ID         string            `json:"decision_id"`
	TS         int64             `json:"ts"`
	Point      string            `json:"point"`
	Rule       string            `json:"rule"`
	Observed   bool              `json:"observed"`
	Server     matrix.ServerName `json:"server,omitempty"`
	Host       string            `json:"host,omitempty"`
	Address    string            `json:"address,omitempty"`
	Data       string            `json:"data,omitempty"`
	Tenant     matrix.ServerName `json:"tenant,omitempty"`
	Country    string            `json:"country,omitempty"`
	ASN        uint32            `json:"asn,omitempty"`
	Operator   string            `json:"operator,omitempty"`
	Class      string            `json:"class,omitempty"`
	Generation uint64            `json:"generation"`
	Policy     string            `json:"policy_digest"`
	Geo        string            `json:"geo_digest"`
	EN         string            `json:"text_en"`
	FR         string            `json:"text_fr"`
	// Steps are how the policy in force now decides the same.
	Steps []string `json:"steps,omitempty"`
}

// PolicyAlarms are what somebody should look at.
type PolicyAlarms struct {
	// Now is what is wrong at the moment.
	Now []string `json:"now"`
	// Rooms is what was found in rooms lately.
	Rooms []RoomAlarm `json:"rooms"`
}

// RoomAlarm is something that was found in a room, or is over.
type RoomAlarm struct {
	TS     int64             `json:"ts"`
	What   string            `json:"what"`
	Room   matrix.RoomID     `json:"room_id"`
	Server matrix.ServerName `json:"server"`
	User   matrix.UserID     `json:"user_id,omitempty"`
	Rule   string            `json:"rule"`
	Answer string            `json:"answer,omitempty"`
}

// PolicyPoint is a decision point.
type PolicyPoint struct {
	Point string `json:"point"`
	EN    string `json:"text_en"`
	FR    string `json:"text_fr"`
}

// policyText is a policy as it is sent to be looked at.
type policyText struct {
	Policy string `json:"policy"`
}

// policyRoutes adds what is asked about the policy, which is the whole installation's.
func policyRoutes(r *httpx.Router, d Deps) {
	p := d.Policy
	ofPolicy(r, p, "GET", "/policy", func(context.Context, matrix.Caller, httpx.Path, httpx.Empty) (PolicyStatus, error) {
		return p.Status(), nil
	})
	ofPolicy(r, p, "GET", "/policy/points", func(context.Context, matrix.Caller, httpx.Path, httpx.Empty) (map[string][]PolicyPoint, error) {
		return map[string][]PolicyPoint{"points": p.Points()}, nil
	})
	ofPolicy(r, p, "GET", "/policy/alarms", func(ctx context.Context, _ matrix.Caller, path httpx.Path, _ httpx.Empty) (PolicyAlarms, error) {
		most, err := natural(path, "limit", usualLimit)
		if err != nil {
			return PolicyAlarms{}, err
		}
		return p.Alarms(ctx, int(min(most, longestPage)))
	})
	ofPolicy(r, p, "POST", "/policy/reload", func(ctx context.Context, c matrix.Caller, _ httpx.Path, _ httpx.Empty) (PolicyStatus, error) {
		if err := d.Admin.Note(ctx, c, "policy.reload", p.Status().File, nil); err != nil {
			return PolicyStatus{}, err
		}
		err := p.Reload(ctx)
		return p.Status(), err
	})
	ofPolicy(r, p, "POST", "/policy/lint", func(ctx context.Context, _ matrix.Caller, _ httpx.Path, in policyText) (PolicyCheck, error) {
		return p.Check(ctx, in.Policy), nil
	})
	ofPolicy(r, p, "POST", "/policy/whatif", func(ctx context.Context, _ matrix.Caller, _ httpx.Path, in PolicySupposed) (PolicyFlips, error) {
		return p.WhatIf(ctx, in)
	})
	ofPolicy(r, p, "GET", "/policy/explain", func(_ context.Context, _ matrix.Caller, path httpx.Path, _ httpx.Empty) (map[string][]string, error) {
		q := path.Query()
		steps, err := p.Explain(PolicyQuestion{q.Get("point"), q.Get("name"), q.Get("address"), q.Get("data"), matrix.ServerName(q.Get("tenant"))})
		return map[string][]string{"steps": steps}, err
	})
	ofPolicy(r, p, "GET", "/decisions", func(_ context.Context, _ matrix.Caller, path httpx.Path, _ httpx.Empty) (map[string][]Decision, error) {
		most, err := natural(path, "limit", usualLimit)
		return map[string][]Decision{"decisions": p.Decisions(path.Query().Get("point"), int(min(most, longestPage)))}, err
	})
	ofPolicy(r, p, "GET", "/explain/{id}", func(_ context.Context, _ matrix.Caller, path httpx.Path, _ httpx.Empty) (Decision, error) {
		return p.Decision(path.Var("id"))
	})
}

// ofPolicy declares a route for administrators of the organisation that runs the installation.
func ofPolicy[In, Out any](r *httpx.Router, p Policy, method, path string, fn func(context.Context, matrix.Caller, httpx.Path, In) (Out, error)) {
	httpx.Handle(r, method, ownPrefix+path, httpx.Route{Access: httpx.Admin},
		func(ctx context.Context, c matrix.Caller, path httpx.Path, in In) (out Out, err error) {
			if c.Server != p.Origin() {
				return out, matrix.Forbidden("The policy belongs to the organisation that runs this server.")
			}
			return fn(ctx, c, path, in)
		})
}
