// Package log makes the server's logger: everybody writes to log/slog, and logrus formats at the end of it.
//
// It owns level and format and nothing else; there is no global logger. It is the only home of logrus.
package log

import (
	"context"
	"io"
	"log/slog"
	"slices"

	"github.com/sirupsen/logrus"
)

// Levels and Formats are what New accepts; anything else is taken as the first of them.
func Levels() []string { return []string{"info", "debug", "warn", "error"} }

// Formats lists the forms of a line.
func Formats() []string { return []string{"text", "json"} }

// New makes a logger that writes lines of at least this level to w.
func New(level, format string, w io.Writer) *slog.Logger {
	out := logrus.New()
	out.SetOutput(w)
	out.SetLevel(logrus.TraceLevel) // Why: the handler has decided already
	if format == "json" {
		out.SetFormatter(&logrus.JSONFormatter{TimestampFormat: timeFormat})
	} else {
		out.SetFormatter(&logrus.TextFormatter{TimestampFormat: timeFormat, FullTimestamp: true, DisableColors: true})
	}
	least := slog.LevelInfo
	if slices.Contains(Levels(), level) {
		_ = least.UnmarshalText([]byte(level)) // Why no error: the name is one of Levels
	}
	return slog.New(&handler{entry: logrus.NewEntry(out), least: least})
}

const timeFormat = "2006-01-02T15:04:05.000Z07:00"

// handler hands slog records to logrus. It is immutable; With… return copies.
type handler struct {
	entry  *logrus.Entry
	least  slog.Level
	prefix string // of open groups, "group."
}

// Enabled reports whether a level is written.
func (h *handler) Enabled(_ context.Context, level slog.Level) bool { return level >= h.least }

// Handle writes one record.
func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	fields := make(logrus.Fields, r.NumAttrs())
	r.Attrs(func(a slog.Attr) bool {
		addField(fields, h.prefix, a)
		return true
	})
	h.entry.WithContext(ctx).WithTime(r.Time).WithFields(fields).Log(logrusLevel(r.Level), r.Message)
	return nil
}

// WithAttrs returns a handler whose records bear these fields too.
func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	fields := make(logrus.Fields, len(attrs))
	for _, a := range attrs {
		addField(fields, h.prefix, a)
	}
	return &handler{entry: h.entry.WithFields(fields), least: h.least, prefix: h.prefix}
}

// WithGroup returns a handler that puts "name." before the fields to come.
func (h *handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	return &handler{entry: h.entry, least: h.least, prefix: h.prefix + name + "."}
}

// addField adds an attribute, a group as dotted names; empty values are left out.
func addField(fields logrus.Fields, prefix string, a slog.Attr) {
	value := a.Value.Resolve()
	switch value.Kind() {
	case slog.KindGroup:
		if a.Key != "" {
			prefix += a.Key + "."
		}
		for _, member := range value.Group() {
			addField(fields, prefix, member)
		}
	case slog.KindString:
		if value.String() != "" && a.Key != "" {
			fields[prefix+a.Key] = value.String()
		}
	case slog.KindDuration:
		fields[prefix+a.Key] = value.Duration().String()
	default:
		if a.Key != "" {
			fields[prefix+a.Key] = value.Any()
		}
	}
}

func logrusLevel(l slog.Level) logrus.Level {
	switch {
	case l >= slog.LevelError:
		return logrus.ErrorLevel
	case l >= slog.LevelWarn:
		return logrus.WarnLevel
	case l >= slog.LevelInfo:
		return logrus.InfoLevel
	}
	return logrus.DebugLevel
}
