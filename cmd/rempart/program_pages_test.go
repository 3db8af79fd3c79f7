package main

import (
	"io"
	"os"
	"strconv"
	"strings"
	"testing"
)

// programPages is how many KiB of files this process has mapped and touched.
func programPages(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(text), "RssFile:")
	n, err := strconv.Atoi(strings.Fields(after)[0])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// touchProgram has all of the program's file mapped, and returns its size in KiB.
func touchProgram(t *testing.T) (size int) {
	t.Helper()
	memory, err := os.Open("/proc/self/mem")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = memory.Close() }()
	for _, r := range programRanges() {
		if _, err := io.CopyN(io.Discard, io.NewSectionReader(memory, int64(r.from), int64(r.to-r.from)), int64(r.to-r.from)); err != nil {
			t.Fatal(err)
		}
		size += int(r.to-r.from) >> 10
	}
	return size
}

func TestTheStartIsReleased(t *testing.T) {
	size := touchProgram(t)
	before := programPages(t)
	if size == 0 || before < size {
		t.Fatalf("%d KiB of files are mapped after %d of the program were read", before, size)
	}
	releaseStart()
	if after := programPages(t); after > before-size/2 {
		t.Errorf("%d KiB of files are mapped, %d before", after, before)
	}
}

func TestAnAddress(t *testing.T) {
	for text, want := range map[string]uintptr{"00400000": 0x400000, "7fb77817a000": 0x7fb77817a000, "Size:": 0, "": 0} {
		if got := address(text); got != want {
			t.Errorf("%q: %x, not %x", text, got, want)
		}
	}
}
