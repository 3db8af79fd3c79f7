package proc

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// ForgetPeak lets the highest resident memory of a process be counted anew.
func ForgetPeak(pid int) error {
	return os.WriteFile(filepath.Join("/proc", strconv.Itoa(pid), "clear_refs"), []byte("5"), 0)
}

// Peak is the highest resident memory of a process, in bytes, since it began or since [ForgetPeak].
func Peak(pid int) (int64, error) {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(text), "VmHWM:")
	number, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
	n, err := strconv.ParseInt(number, 10, 64)
	return n << 10, err
}
