package httpx

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"rempart/internal/matrix"
)

// Path holds the variables of a request's path, each percent-decoded once, and its query.
type Path struct {
	vars  map[string]string
	raw   string      // the query as it came
	query *url.Values // parsed at first use; shared by copies
}

// fill decodes the variables in place.
func (p *Path) fill(req *http.Request, vars map[string]string) error {
	p.vars, p.raw, p.query = vars, req.URL.RawQuery, new(url.Values)
	for name, value := range vars {
		if !strings.Contains(value, "%") {
			continue
		}
		decoded, err := url.PathUnescape(value)
		if err != nil {
			return invalidParam(name, "is not valid percent-encoding")
		}
		vars[name] = decoded
	}
	return nil
}

// Var is a variable of the pattern, "" when the pattern has none of that name.
func (p Path) Var(name string) string { return p.vars[name] }

// RoomID is the variable "roomID", parsed.
func (p Path) RoomID() (matrix.RoomID, error) { return matrix.ParseRoomID(p.Var("roomID")) }

// EventID is the variable "eventID", parsed.
func (p Path) EventID() (matrix.EventID, error) { return matrix.ParseEventID(p.Var("eventID")) }

// UserID is the variable "userID", parsed.
func (p Path) UserID() (matrix.UserID, error) { return matrix.ParseUserID(p.Var("userID")) }

// Query is the request's query, parsed at the first call.
func (p Path) Query() url.Values {
	if p.query == nil {
		return url.Values{}
	}
	if *p.query == nil {
		*p.query = parseQuery(p.raw)
	}
	return *p.query
}

// Param is a value from the query, "" when it is absent. It costs nothing where there is no query.
func (p Path) Param(name string) string {
	if p.raw == "" {
		return ""
	}
	return p.Query().Get(name)
}

// QueryInt is a whole number from the query, or def when it is absent. Anything else is M_INVALID_PARAM.
func (p Path) QueryInt(name string, def int) (int, error) {
	text := p.Query().Get(name)
	if text == "" {
		return def, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0, invalidParam(name, "is not a whole number")
	}
	return n, nil
}

// QueryBool is "true" or "false" from the query, or def when it is absent. Anything else is M_INVALID_PARAM.
func (p Path) QueryBool(name string, def bool) (bool, error) {
	switch p.Query().Get(name) {
	case "":
		return def, nil
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, invalidParam(name, "is neither true nor false")
}
