package matrix

import (
	"math"
	"strconv"
	"strings"
)

// level reads one power level as the room version allows it.
func (v *RoomVersion) level(raw []byte) (int64, bool) {
	if n, ok := integer(raw); ok {
		return n, true
	}
	if v.IntegerPowerLevels || len(raw) == 0 {
		return 0, false
	}
	if s, ok := text(raw); ok {
		return levelOfString(s)
	}
	if v.FloatPowerLevels {
		return levelOfFloat(string(raw))
	}
	return 0, false
}

// levelOfString reads an integer with optional sign, leading zeros and white space around it.
// Spec: rooms/v1/#mroompower_levels-events-accept-values-as-strings
func levelOfString(s string) (int64, bool) {
	s = strings.TrimSpace(s)
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}

// levelOfFloat cuts a float at its point. Spec: rooms/v1/#mroompower_levels-events-accept-values-as-floats
func levelOfFloat(s string) (int64, bool) {
	if c := s[0]; c != '-' && (c < '0' || c > '9') {
		return 0, false
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
		return 0, false
	}
	// Why: levels are held in 64 bits; a float beyond that range keeps its order against all others.
	if f >= math.MaxInt64 {
		return math.MaxInt64, true
	}
	if f <= math.MinInt64 {
		return math.MinInt64, true
	}
	return int64(f), true
}
