package main

import (
	"io"
	"testing"
)

func TestParseFlags(t *testing.T) {
	o, err := parseFlags([]string{
		"-base", "http://127.0.0.1:1", "-pid", "10,20,30", "-name", "a", "-goals", "sqlite", "-run", "keys,send8", "-member-sizes", "5,6",
		"-target", "name=b,base=http://[::1]:2,pid=7:8,secret=s",
	}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	a, b := o.targets[0], o.targets[1]
	if a.Name != "a" || a.Server != 10 || len(a.Databases) != 2 || a.engine != "sqlite" {
		t.Errorf("first target %+v", a)
	}
	if b.Name != "b" || b.Server != 7 || len(b.Databases) != 1 || b.Databases[0] != 8 || b.Secret != "s" {
		t.Errorf("second target %+v", b)
	}
	if len(o.scenarios) != 2 || o.scenarios[0].Name != "send8" || o.scenarios[1].Name != "keys" {
		t.Errorf("scenarios %v", o.scenarios)
	}
	if o.sizesText["member-sizes"] != "5,6" || o.sizesText["base"] != "" {
		t.Errorf("sizes %v", o.sizesText)
	}
}

func TestParseFlagsRefuses(t *testing.T) {
	for _, args := range [][]string{
		{"-base", "http://192.168.0.1:8008"},
		{"-base", "https://127.0.0.1:8448"},
		{"-target", "name=x,base=http://8.8.8.8"},
		{"-target", "name=x"},
		{"-target", "base=http://127.0.0.1:1,color=red"},
		{"-base", "http://127.0.0.1:1", "-pid", "x"},
		{"-base", "http://127.0.0.1:1", "-pid", "-4"},
		{"-base", "http://127.0.0.1:1", "-goals", "oracle"},
		{"-run", "send8,nothing"},
		{"-events", "0"},
		{"-member-sizes", "10,0"},
		{"stray"},
	} {
		if _, err := parseFlags(args, io.Discard); err == nil {
			t.Errorf("%v was accepted", args)
		}
	}
}

func TestAllScenariosByDefault(t *testing.T) {
	o, err := parseFlags(nil, io.Discard)
	if err != nil || len(o.scenarios) != 14 {
		t.Errorf("%d scenarios, %v", len(o.scenarios), err)
	}
}
