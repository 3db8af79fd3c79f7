package arch

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Module is the path of this module.
const Module = "rempart"

// File is one Go source file of the tree.
type File struct {
	Path    string // from the root, with slashes
	Folder  string // the package's folder
	Test    bool   // a _test.go file, anything below tests/ or internal/testkit, or a package like httptest
	Lines   int
	Imports []string
	Syntax  *ast.File
	Set     *token.FileSet
}

// Breach is one place where a law is broken.
type Breach struct{ Where, What string }

func (b Breach) String() string { return b.Where + ": " + b.What }

// Parse reads sources by path. What cannot be parsed is a breach.
func Parse(sources map[string]string) ([]*File, []Breach) {
	var files []*File
	var broken []Breach
	for _, name := range sortedNames(sources) {
		set := token.NewFileSet()
		syntax, err := parser.ParseFile(set, name, sources[name], parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			broken = append(broken, Breach{name, fmt.Sprintf("cannot be parsed: %v", err)})
			continue
		}
		f := &File{Path: name, Folder: path.Dir(name), Syntax: syntax, Set: set, Lines: strings.Count(sources[name], "\n")}
		f.Test = strings.HasSuffix(name, "_test.go") || strings.HasSuffix(f.Folder, "test") || within(f.Folder, "tests", "internal/testkit")
		for _, spec := range syntax.Imports {
			if imported, err := strconv.Unquote(spec.Path.Value); err == nil {
				f.Imports = append(f.Imports, imported)
			}
		}
		files = append(files, f)
	}
	return files, broken
}

// ReadTree reads all Go sources below a folder, except hidden folders and testdata.
func ReadTree(root string) (map[string]string, error) {
	sources := map[string]string{}
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := d.Name(); d.IsDir() && file != root && (strings.HasPrefix(name, ".") || name == "testdata" || name == "data") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(file, ".go") {
			return nil
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, file)
		sources[filepath.ToSlash(relative)] = string(text)
		return err
	})
	return sources, err
}

// within reports whether a folder is one of these or below one.
func within(folder string, tops ...string) bool {
	return slices.ContainsFunc(tops, func(top string) bool {
		return folder == top || strings.HasPrefix(folder, top+"/")
	})
}

// local is the folder of an import of this module, "" for others.
func local(imported string) string {
	if folder, ok := strings.CutPrefix(imported, Module+"/"); ok {
		return folder
	}
	return ""
}

// where is a position as "file:line".
func (f *File) where(n ast.Node) string {
	return fmt.Sprintf("%s:%d", f.Path, f.Set.Position(n.Pos()).Line)
}

func sortedNames[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
