package sovereign

import (
	"net/http"
	"testing"
)

// TestTheDoctorIsRecorded has the command that examines other servers, beside the running one: what it connects to, and what it is refused, is in the record.
func TestTheDoctorIsRecorded(t *testing.T) {
	l := newLab(t)
	l.host("matrix.abroad.lab", "127.12.0.1")
	l.service("abroad.lab", "matrix.abroad.lab", l.abroad.port())
	p := l.peer("prefecture.lab", "127.10.0.2")
	p.answers(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"server":{"name":"peer","version":"1"}}`))
	})
	w := l.town("mairie.lab", "127.10.0.1", french+partners("prefecture.lab", "abroad.lab"), "")
	if out, err := w.Command("doctor", "-federation", "prefecture.lab"); err != nil || p.calls() == 0 {
		t.Errorf("%v, %d calls: %s", err, p.calls(), out)
	}
	connected := false
	for _, e := range w.trace("prefecture.lab") {
		connected = connected || e.Kind == "connection" && e.CC == "FR"
	}
	if !connected {
		t.Errorf("what the doctor connected to is not recorded: %+v", w.trace("prefecture.lab"))
	}
	if out, err := w.Command("doctor", "-federation", "abroad.lab"); err == nil {
		t.Errorf("a server abroad was spoken to: %s", out)
	}
	if n, _ := w.refusals("abroad.lab"); n == 0 {
		t.Error("what the doctor was refused is not recorded")
	}
	w.nothingLeft()
}
