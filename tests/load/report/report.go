// Package report holds the results of a load run and shows them: as a table for
// people, with the goals and the peers' figures beside, and as JSON for programs.
package report

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Value is one measured number.
type Value struct {
	Name  string  `json:"name"`
	Unit  string  `json:"unit"`
	Value float64 `json:"value"`
}

// Result is what one scenario found on one target. A scenario that could not be
// carried out has an Error and the values it found before.
type Result struct {
	Scenario string   `json:"scenario"`
	Values   []Value  `json:"values"`
	Notes    []string `json:"notes,omitempty"`
	Error    string   `json:"error,omitempty"`
	Seconds  float64  `json:"seconds"`
}

// Target is all results of one server.
type Target struct {
	Name    string   `json:"name"`
	Base    string   `json:"base"`
	Engine  string   `json:"engine,omitempty"` // sqlite or postgres: the goals to hold it to
	Results []Result `json:"results"`
}

// Report is a whole run.
type Report struct {
	Started time.Time         `json:"started"`
	Machine Machine           `json:"machine"`
	Command []string          `json:"command"`
	Sizes   map[string]string `json:"sizes"`
	Targets []*Target         `json:"targets"`
}

// Machine is where the run took place.
type Machine struct {
	CPUs int    `json:"cpus"`
	Go   string `json:"go"`
	OS   string `json:"os"`
}

// Failed tells whether any scenario could not be carried out.
func (r *Report) Failed() bool {
	for _, t := range r.Targets {
		for _, res := range t.Results {
			if res.Error != "" {
				return true
			}
		}
	}
	return false
}

// WriteJSON writes the report to a file.
func (r *Report) WriteJSON(path string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return os.WriteFile(path, append(text, '\n'), 0o600)
}

// row is one line of the table: a value of a scenario on each target.
type row struct {
	scenario, name, unit string
	cells                []string
}

// WriteTable writes one line per value, one column per target, and beside them
// the goal of the first target that has one and the peers' figures. A value that
// misses its goal ends with "!".
func (r *Report) WriteTable(w io.Writer) error {
	head := []string{"scenario", "measure", "unit"}
	for _, t := range r.Targets {
		head = append(head, t.Name)
	}
	lines := [][]string{append(head, "goal", "Dendrite", "Synapse")}
	for _, row := range r.rows() {
		ref := lookUp(row.scenario, row.name)
		line := append([]string{row.scenario, row.name, row.unit}, row.cells...)
		lines = append(lines, append(line, r.goal(ref), ref.dendrite, ref.synapse))
	}
	if err := writeAligned(w, lines); err != nil {
		return err
	}
	return r.writeRemarks(w)
}

// rows joins the values of all targets. A scenario's rows stand together, and a
// value that only a later target has stands behind the one it followed there.
func (r *Report) rows() []*row {
	var rows []*row
	for i, t := range r.Targets {
		for _, res := range t.Results {
			at := lastOf(rows, res.Scenario)
			for _, v := range res.Values {
				same := func(x *row) bool { return x.scenario == res.Scenario && x.name == v.Name }
				if found := slices.IndexFunc(rows, same); found >= 0 {
					at = found
				} else {
					at++
					rows = slices.Insert(rows, at, &row{res.Scenario, v.Name, v.Unit, blanks(len(r.Targets))})
				}
				rows[at].cells[i] = Number(v.Value) + lookUp(res.Scenario, v.Name).miss(t.Engine, v.Value)
			}
		}
	}
	return rows
}

// lastOf is the index of a scenario's last row, or of the last row of all.
func lastOf(rows []*row, scenario string) int {
	for i, x := range slices.Backward(rows) {
		if x.scenario == scenario {
			return i
		}
	}
	return len(rows) - 1
}

func blanks(n int) []string {
	b := make([]string, n)
	for i := range b {
		b[i] = "-"
	}
	return b
}

// goal is the text of the goals that the targets of this report are held to.
func (r *Report) goal(ref reference) string {
	var texts []string
	for _, t := range r.Targets {
		if g := ref.goalFor(t.Engine).String(); g != "" && (len(texts) == 0 || texts[len(texts)-1] != g) {
			texts = append(texts, g)
		}
	}
	return strings.Join(texts, " / ")
}

func (r *Report) writeRemarks(w io.Writer) error {
	for _, t := range r.Targets {
		for _, res := range t.Results {
			notes := res.Notes
			if res.Error != "" {
				notes = append([]string{"FAILED: " + res.Error}, notes...)
			}
			for _, n := range notes {
				if _, err := fmt.Fprintf(w, "%s, %s: %s\n", t.Name, res.Scenario, n); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// Number shows a value with three significant digits, large ones in full.
func Number(v float64) string {
	switch {
	case v == float64(int64(v)) || v >= 1000:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case v >= 100:
		return strconv.FormatFloat(v, 'f', 1, 64)
	case v >= 1:
		return strconv.FormatFloat(v, 'f', 2, 64)
	default:
		return strconv.FormatFloat(v, 'g', 3, 64)
	}
}

func writeAligned(w io.Writer, lines [][]string) error {
	widths := make([]int, len(lines[0]))
	for _, line := range lines {
		for i, cell := range line {
			widths[i] = max(widths[i], len(cell))
		}
	}
	for _, line := range lines {
		var b strings.Builder
		for i, cell := range line {
			pad := strings.Repeat(" ", widths[i]-len(cell))
			if i < 3 {
				b.WriteString(cell + pad + "  ")
			} else {
				b.WriteString(pad + cell + "  ")
			}
		}
		if _, err := fmt.Fprintln(w, strings.TrimRight(b.String(), " ")); err != nil {
			return err
		}
	}
	return nil
}
