package sync_test

import (
	"context"
	"encoding/json"
)

// ctx is the context of helpers that outlive no test.
var ctx = context.Background()

func unmarshal(raw []byte, into any) error { return json.Unmarshal(raw, into) }
