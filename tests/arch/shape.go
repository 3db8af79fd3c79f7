package arch

import (
	"fmt"
	"go/ast"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// The longest that code may be, in lines.
const (
	maxFile     = 600
	maxCmdFile  = 250
	maxFunction = 80
	// maxUnmapped is how many files a package may have before its comment must say where things are.
	maxUnmapped = 40
)

// Shape checks sizes and comments: what a reader needs to find his way.
func Shape(files []*File) []Breach {
	var broken []Breach
	documented, packages := map[string]bool{}, map[string]string{}
	comments, members := map[string]string{}, map[string][]string{}
	for _, f := range files {
		limit := maxFile
		if within(f.Folder, "cmd") && !f.Test {
			limit = maxCmdFile
		}
		if f.Lines > limit {
			broken = append(broken, Breach{f.Path, fmt.Sprintf("has %d lines; the most is %d", f.Lines, limit)})
		}
		if !strings.HasSuffix(f.Path, "_test.go") {
			packages[f.Folder] = f.Path
			documented[f.Folder] = documented[f.Folder] || f.Syntax.Doc != nil
			comments[f.Folder] += f.Syntax.Doc.Text()
			members[f.Folder] = append(members[f.Folder], f.Path)
		}
		broken = append(broken, functions(f)...)
		broken = append(broken, unfinished(f)...)
	}
	for _, folder := range sortedNames(packages) {
		if !documented[folder] {
			broken = append(broken, Breach{folder, "the package has no comment that says what it owns"})
		}
		broken = append(broken, unmapped(comments[folder], members[folder])...)
		if name := folder[strings.LastIndexByte(folder, '/')+1:]; slices.Contains([]string{"util", "utils", "common", "helper", "helpers", "misc"}, name) {
			broken = append(broken, Breach{folder, "law 5: a package is a noun of the domain, not " + name})
		}
	}
	return broken
}

// unmapped checks that the comment of a large package names each of its files, without the ending.
func unmapped(comment string, files []string) (broken []Breach) {
	if len(files) <= maxUnmapped {
		return nil
	}
	named := strings.FieldsFunc(comment, func(r rune) bool { return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	for _, file := range files {
		name := strings.TrimSuffix(file[strings.LastIndexByte(file, '/')+1:], ".go")
		if name != "doc" && !slices.Contains(named, name) {
			broken = append(broken, Breach{file, "the package has more than " + strconv.Itoa(maxUnmapped) + " files, and its comment does not say what this one is for"})
		}
	}
	return broken
}

// functions checks the length of functions and that exported names of the server are documented.
func functions(f *File) []Breach {
	var broken []Breach
	for _, d := range f.Syntax.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			lines := f.Set.Position(d.End()).Line - f.Set.Position(d.Pos()).Line + 1
			if lines > maxFunction && !strings.HasSuffix(f.Path, "_test.go") {
				broken = append(broken, Breach{f.where(d), fmt.Sprintf("%s has %d lines; the most is %d", d.Name.Name, lines, maxFunction)})
			}
			if !f.Test && d.Doc == nil && d.Name.IsExported() && exportedReceiver(d) && !familiar(d) {
				broken = append(broken, Breach{f.where(d), d.Name.Name + " has no comment"})
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				if t, ok := spec.(*ast.TypeSpec); ok && !f.Test && t.Name.IsExported() && t.Doc == nil && t.Comment == nil && d.Doc == nil {
					broken = append(broken, Breach{f.where(t), t.Name.Name + " has no comment"})
				}
			}
		}
	}
	return broken
}

// exportedReceiver is false for methods that only an interface shows.
func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil || len(d.Recv.List) == 0 {
		return true
	}
	return ast.IsExported(receiver(d))
}

// familiar is true for methods that every reader knows from the standard library's interfaces.
func familiar(d *ast.FuncDecl) bool {
	return d.Recv != nil && slices.Contains([]string{"Error", "Unwrap", "String", "Len", "Less", "Swap"}, d.Name.Name)
}

// receiver is the name of a method's type.
func receiver(d *ast.FuncDecl) string {
	t := d.Recv.List[0].Type
	for {
		switch x := t.(type) {
		case *ast.StarExpr:
			t = x.X
		case *ast.IndexExpr:
			t = x.X
		case *ast.IndexListExpr:
			t = x.X
		case *ast.Ident:
			return x.Name
		default:
			return ""
		}
	}
}

// unfinished finds notes that something is left to do.
func unfinished(f *File) []Breach {
	var broken []Breach
	if within(f.Folder, "tests/arch") {
		return nil
	}
	for _, group := range f.Syntax.Comments {
		for _, c := range group.List {
			for _, word := range []string{"TO" + "DO", "FIX" + "ME", "X" + "XX"} {
				if strings.Contains(c.Text, word) {
					broken = append(broken, Breach{f.where(c), "says " + word + ": do it, or open an issue"})
				}
			}
		}
	}
	return broken
}
