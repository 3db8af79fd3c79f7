package matrix

// Lookup returns the canonical text of the value at a path of keys in canonical JSON, nil if there is none. It
// decodes nothing and allocates nothing. Keys with quotes, backslashes or control characters are found too.
func Lookup(object []byte, path ...string) []byte {
	for _, key := range path {
		if object = findText(object, key); object == nil {
			return nil
		}
	}
	return object
}

// LookupText is the string at a path; ok is false for anything but a string.
func LookupText(object []byte, path ...string) (s string, ok bool) {
	return text(Lookup(object, path...))
}

// LookupInt is the integer at a path; ok is false for anything but an integer of 64 bits.
func LookupInt(object []byte, path ...string) (n int64, ok bool) {
	return integer(Lookup(object, path...))
}
