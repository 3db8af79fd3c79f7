package arch

import (
	"fmt"
	"go/ast"
	"go/token"
	"strings"
)

// State checks law 5: no init, no package-level state that changes, no setters after construction.
func State(files []*File) []Breach {
	var broken []Breach
	byFolder := map[string][]*File{}
	for _, f := range files {
		if f.Test {
			continue
		}
		byFolder[f.Folder] = append(byFolder[f.Folder], f)
		for _, d := range f.Syntax.Decls {
			fn, ok := d.(*ast.FuncDecl)
			switch {
			case !ok:
			case fn.Recv == nil && fn.Name.Name == "init":
				broken = append(broken, Breach{f.where(fn), "law 5: has an init function"})
			case fn.Recv != nil && setter(fn):
				broken = append(broken, Breach{f.where(fn), fmt.Sprintf("law 5: %s.%s sets a part after construction; hand it to the constructor", receiver(fn), fn.Name.Name)})
			}
		}
	}
	for _, folder := range sortedNames(byFolder) {
		broken = append(broken, variables(byFolder[folder])...)
	}
	return broken
}

// setter recognises SetX(part): one argument that is an interface, function or pointer to another part, no result.
// A domain act such as SetDisplayName(ctx, …) has a context or a result.
func setter(fn *ast.FuncDecl) bool {
	name, params := fn.Name.Name, fn.Type.Params.List
	return strings.HasPrefix(name, "Set") && len(name) > 3 && ast.IsExported(receiver(fn)) && fn.Type.Results == nil &&
		len(params) == 1 && len(params[0].Names) <= 1
}

// variables finds package-level variables that hold state: of a type made to change, or written somewhere.
func variables(files []*File) []Breach {
	declared := map[string]Breach{}
	var broken []Breach
	for _, f := range files {
		for _, d := range f.Syntax.Decls {
			gen, ok := d.(*ast.GenDecl)
			if !ok || gen.Tok != token.VAR {
				continue
			}
			for _, spec := range gen.Specs {
				v, ok := spec.(*ast.ValueSpec)
				if !ok {
					continue
				}
				for _, name := range v.Names {
					if name.Name == "_" {
						continue // an assertion about a type holds nothing
					}
					declared[name.Name] = Breach{f.where(name), "law 5: the package-level variable " + name.Name}
				}
				if kind := changing(v); kind != "" {
					broken = append(broken, Breach{f.where(v), fmt.Sprintf("law 5: the package-level variable %s is a %s", v.Names[0].Name, kind)})
				}
			}
		}
	}
	for _, f := range files {
		for _, name := range written(f) {
			if b, ok := declared[name]; ok {
				broken = append(broken, Breach{b.Where, b.What + " is written in " + f.Path})
				delete(declared, name)
			}
		}
	}
	return broken
}

// changing names the type of a variable that only makes sense as state.
func changing(v *ast.ValueSpec) string {
	t := v.Type
	if len(v.Values) == 1 && t == nil {
		switch value := v.Values[0].(type) {
		case *ast.CompositeLit:
			t = value.Type
		case *ast.CallExpr:
			if fn, ok := value.Fun.(*ast.Ident); ok && (fn.Name == "make" || fn.Name == "new") && len(value.Args) > 0 {
				return fn.Name + "(…)"
			}
		case *ast.UnaryExpr:
			if lit, ok := value.X.(*ast.CompositeLit); ok {
				t = lit.Type
			}
		}
	}
	switch t := t.(type) {
	case *ast.SelectorExpr:
		if pkg, ok := t.X.(*ast.Ident); ok && (pkg.Name == "sync" || pkg.Name == "atomic") {
			return pkg.Name + "." + t.Sel.Name
		}
	case *ast.IndexExpr:
		return changing(&ast.ValueSpec{Type: t.X})
	case *ast.ChanType:
		return "channel"
	}
	return ""
}

// written lists plain names that a file's functions assign to and do not declare themselves.
func written(f *File) []string {
	var names []string
	for _, d := range f.Syntax.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok || fn.Body == nil {
			continue
		}
		own := declaredIn(fn)
		note := func(e ast.Expr) {
			if name := base(e); name != "" && !own[name] {
				names = append(names, name)
			}
		}
		ast.Inspect(fn.Body, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.AssignStmt:
				if n.Tok != token.DEFINE {
					for _, left := range n.Lhs {
						note(left)
					}
				}
			case *ast.IncDecStmt:
				note(n.X)
			case *ast.CallExpr:
				if fn, ok := n.Fun.(*ast.Ident); ok && (fn.Name == "delete" || fn.Name == "clear") && len(n.Args) > 0 {
					note(n.Args[0])
				}
			}
			return true
		})
	}
	return names
}

// base is the variable at the root of x, x[i], x.f; "" for a pointer's target.
func base(e ast.Expr) string {
	for {
		switch x := e.(type) {
		case *ast.Ident:
			return x.Name
		case *ast.IndexExpr:
			e = x.X
		case *ast.SelectorExpr:
			e = x.X
		case *ast.ParenExpr:
			e = x.X
		default:
			return ""
		}
	}
}

// declaredIn lists every name that a function declares anywhere: parameters, results and local variables.
func declaredIn(fn *ast.FuncDecl) map[string]bool {
	own := map[string]bool{}
	fields := func(list *ast.FieldList) {
		if list == nil {
			return
		}
		for _, field := range list.List {
			for _, name := range field.Names {
				own[name.Name] = true
			}
		}
	}
	fields(fn.Recv)
	fields(fn.Type.Params)
	fields(fn.Type.Results)
	ast.Inspect(fn.Body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			if n.Tok == token.DEFINE {
				for _, left := range n.Lhs {
					own[base(left)] = true
				}
			}
		case *ast.RangeStmt:
			own[base(n.Key)], own[base(n.Value)] = true, true
		case *ast.ValueSpec:
			for _, name := range n.Names {
				own[name.Name] = true
			}
		case *ast.FuncLit:
			fields(n.Type.Params)
			fields(n.Type.Results)
		}
		return true
	})
	return own
}
