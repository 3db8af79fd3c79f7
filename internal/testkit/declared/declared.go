// Package declared finds the tests of the tree, for tests that compare lists of what is tested with what there is.
package declared

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Tests gives for each test function below a folder the text of the file that it is in, of all files where several have the name.
func Tests(t *testing.T, root string) map[string]string {
	t.Helper()
	name := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	found := map[string]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(filepath.Clean(path))
		for _, m := range name.FindAllStringSubmatch(string(text), -1) {
			found[m[1]] += string(text) // Why +: tests of several packages may have one name
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
