package main

import (
	"bufio"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// releaseStart gives the pages of the program's file back that the start needed: the system may use their memory for something else, and what is
// run next is read again from the file.
//
// Why: the start initialises every package once, all over the file, and the system maps sixteen pages and more around each that is touched:
// 40 to 60 MiB, of which the server uses some 20 under load. Why both: the first frees the memory, but only for who may write the file (the system's rule:
// nobody shall learn from it what others run); the second only unmaps, so that these pages are the first to go when memory is short.
func releaseStart() {
	for _, r := range programRanges() {
		for _, advice := range []uintptr{unix.MADV_PAGEOUT, unix.MADV_DONTNEED} {
			_, _, _ = unix.Syscall(unix.SYS_MADVISE, r.from, r.to-r.from, advice) // what fails here is only not given back
		}
	}
}

// memoryRange is a part of the process's addresses; to is not in it.
type memoryRange struct{ from, to uintptr }

// programRanges are where the program's file is mapped and can be read again from it.
func programRanges() (ranges []memoryRange) {
	self, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return nil
	}
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		return nil
	}
	defer func() { _ = f.Close() }()
	var r memoryRange
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if begin, end, ok := strings.Cut(fields[0], "-"); ok { // "00400000-02037000 r-xp 00000000 fe:00 10169210 /usr/bin/rempart"
			r = memoryRange{}
			if len(fields) == 6 && fields[5] == self && !strings.Contains(fields[1], "w") {
				r = memoryRange{address(begin), address(end)}
			}
			continue
		}
		// Why only where nothing was written: what was, by whoever loaded the program, would be lost.
		if r.to > r.from && fields[0] == "Anonymous:" && fields[1] == "0" {
			ranges = append(ranges, r)
		}
	}
	return ranges
}

// address reads a number as the list of mappings has it; 0 when it is none.
func address(text string) uintptr {
	n, err := strconv.ParseUint(text, 16, 64)
	if err != nil {
		return 0
	}
	return uintptr(n)
}
