package appservices

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
)

// The environment by which the test binary becomes an application service.
const (
	childAddr = "REMPART_TEST_APPSERVICE" // where it listens
	childFile = "REMPART_TEST_TAKEN"      // the file that it writes what it took into
)

// TestMain is the test, or the application service when the environment says so.
func TestMain(m *testing.M) {
	if addr := os.Getenv(childAddr); addr != "" {
		if err := serveChild(addr, os.Getenv(childFile)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// taken is one transaction as the service wrote it down, before it answered.
type taken struct {
	Txn  string          `json:"txn"`
	Body json.RawMessage `json:"body"`
}

// serveChild is a service that takes every transaction: it writes it down and answers.
func serveChild(addr, file string) error {
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	var mu sync.Mutex
	return http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		txn, ok := strings.CutPrefix(r.URL.Path, "/_matrix/app/v1/transactions/")
		if !ok || r.Header.Get("Authorization") != "Bearer "+hsToken {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		line, err := json.Marshal(taken{txn, body})
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		mu.Lock()
		_, err = f.Write(append(line, '\n'))
		mu.Unlock()
		if err != nil {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		_, _ = io.WriteString(w, "{}")
	}))
}
