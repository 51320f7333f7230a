package suites

import (
	"go/ast"
	"go/token"
	"maps"
	"path"
	"strconv"
)

// Which of the toolchain's tests look into what only an http.Transport has.

// insights are the names in export_test.go that look into a Transport, or stop it
// at a place of its own: its methods, and what refers to declarations in
// transport.go. Another RoundTripper has nothing to answer them.
func insights(hooks, transport *ast.File) map[string]bool {
	own := map[string]bool{}
	for _, d := range transport.Decls {
		for _, name := range declared(d) {
			own[name] = name != "Transport" && name != "DefaultTransport"
		}
	}
	found := map[string]bool{}
	for _, d := range hooks.Decls {
		if f, ok := d.(*ast.FuncDecl); ok {
			if receiver(f) == "Transport" || mentions(f, own) != "" {
				found[f.Name.Name] = true
			}
			if f.Recv == nil && f.Type.Params != nil && f.Body != nil && looksInto(f) {
				found[f.Name.Name] = true
			}
			continue
		}
		for _, spec := range d.(*ast.GenDecl).Specs {
			value, ok := spec.(*ast.ValueSpec)
			if !ok {
				continue
			}
			for i, name := range value.Names {
				if i < len(value.Values) && mentions(value.Values[i], own) != "" {
					found[name.Name] = true
				}
			}
		}
	}
	return found
}

// looksInto reports whether a function reads an unexported field of a Transport that
// it is given. One that only sets a field configures it.
func looksInto(f *ast.FuncDecl) bool {
	given := map[string]bool{}
	for _, p := range f.Type.Params.List {
		star, ok := p.Type.(*ast.StarExpr)
		if id, is := star0(star, ok); is && id.Name == "Transport" {
			for _, name := range p.Names {
				given[name.Name] = true
			}
		}
	}
	set, looks := map[ast.Expr]bool{}, false
	ast.Inspect(f.Body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			for _, left := range n.Lhs {
				set[left] = true
			}
		case *ast.SelectorExpr:
			id, ok := n.X.(*ast.Ident)
			looks = looks || ok && given[id.Name] && !set[n] && !n.Sel.IsExported()
		}
		return true
	})
	return looks
}

func star0(star *ast.StarExpr, ok bool) (*ast.Ident, bool) {
	if !ok {
		return nil, false
	}
	id, is := star.X.(*ast.Ident)
	return id, is
}

// declared are the names that a declaration adds to its package. Methods add none.
func declared(d ast.Decl) []string {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Recv == nil {
			return []string{d.Name.Name}
		}
	case *ast.GenDecl:
		var names []string
		for _, spec := range d.Specs {
			switch spec := spec.(type) {
			case *ast.TypeSpec:
				names = append(names, spec.Name.Name)
			case *ast.ValueSpec:
				for _, name := range spec.Names {
					names = append(names, name.Name)
				}
			}
		}
		return names
	}
	return nil
}

// receiver is the name of a method's type.
func receiver(f *ast.FuncDecl) string {
	if f.Recv == nil {
		return ""
	}
	kind := f.Recv.List[0].Type
	if star, ok := kind.(*ast.StarExpr); ok {
		kind = star.X
	}
	if id, ok := kind.(*ast.Ident); ok {
		return id.Name
	}
	return ""
}

// mentions returns the first of these names that a node uses.
func mentions(n ast.Node, names map[string]bool) (found string) {
	ast.Inspect(n, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok && found == "" && names[id.Name] {
			found = id.Name
		}
		return found == ""
	})
	return found
}

// skip has every test begin with a Skip that uses one of these names, be it in a
// function it calls or a type it uses.
func (a *adaptation) skip(files []parsed, names map[string]bool) {
	because := map[string]string{} // of a function or type of the tests'
	for name := range names {
		because[name] = name
	}
	spread(files, because)
	for _, p := range files {
		for _, f := range tests(p.file) {
			if why := because[f.Name.Name]; why != "" {
				reason := "looks into http.Transport: " + why
				a.dropped = append(a.dropped, Dropped{f.Name.Name, reason})
				prependSkip(f, reason)
			}
		}
	}
}

func keys(m map[string]string) map[string]bool {
	set := make(map[string]bool, len(m))
	for name := range maps.Keys(m) {
		set[name] = true
	}
	return set
}

func prependSkip(f *ast.FuncDecl, reason string) {
	parameter := f.Type.Params.List[0]
	if len(parameter.Names) == 0 {
		parameter.Names = []*ast.Ident{ast.NewIdent("t")}
	}
	call := &ast.CallExpr{
		Fun:  &ast.SelectorExpr{X: ast.NewIdent(parameter.Names[0].Name), Sel: ast.NewIdent("Skip")},
		Args: []ast.Expr{&ast.BasicLit{Kind: token.STRING, Value: strconv.Quote(reason)}},
	}
	f.Body.List = append([]ast.Stmt{&ast.ExprStmt{X: call}}, f.Body.List...)
}

// ownOf are the names of what an http.Transport has and no other RoundTripper: its
// exported fields but those that a Server has as well, and methods that no other type
// has.
func ownOf(transport, server *ast.File) map[string]bool {
	own := map[string]bool{"CancelRequest": true, "RegisterProtocol": true}
	for _, name := range fieldsOf(transport, "Transport") {
		own[name] = ast.IsExported(name)
	}
	for _, name := range fieldsOf(server, "Server") {
		delete(own, name)
	}
	return own
}

// fieldsOf are the names of a struct's fields.
func fieldsOf(file *ast.File, kind string) (names []string) {
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.TypeSpec)
		if !ok || spec.Name.Name != kind {
			return true
		}
		if s, is := spec.Type.(*ast.StructType); is {
			for _, field := range s.Fields.List {
				for _, name := range field.Names {
					names = append(names, name.Name)
				}
			}
		}
		return false
	})
	return names
}

// harness are the files whose helpers make the client and the server of every test.
var harness = map[string]bool{"clientserver_test.go": true, "main_test.go": true}

// needs says of each test at the root that uses something of an http.Transport's own
// what that is, be it in a function it calls or a type it uses. The others need no more
// than a RoundTripper.
func needs(files []parsed, own map[string]bool) map[string]string {
	uses := map[string]string{} // by a function or type of the tests'
	for _, p := range files {
		for _, d := range p.file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Body != nil && !harness[p.name] {
				if name := usedOf(f.Body, own, p.file); name != "" {
					uses[owner(f)] = name
				}
			}
		}
	}
	spread(files, uses)
	found := map[string]string{}
	for _, p := range files {
		for _, f := range tests(p.file) {
			if why := uses[f.Name.Name]; why != "" {
				found[f.Name.Name] = why
			}
		}
	}
	return found
}

// usedOf returns the first of these fields or methods that code uses, of a value or in
// a literal. A package's function of that name is another.
func usedOf(code ast.Node, own map[string]bool, file *ast.File) (found string) {
	packages := map[string]bool{}
	for _, spec := range file.Imports {
		imported, _ := strconv.Unquote(spec.Path.Value) // it was parsed
		packages[path.Base(imported)] = true
	}
	ast.Inspect(code, func(n ast.Node) bool {
		name := ""
		switch n := n.(type) {
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); !ok || !packages[x.Name] {
				name = n.Sel.Name
			}
		case *ast.KeyValueExpr:
			if key, ok := n.Key.(*ast.Ident); ok {
				name = key.Name
			}
		}
		if found == "" && own[name] {
			found = name
		}
		return found == ""
	})
	return found
}

// owner is the function, or the type whose method it is.
func owner(f *ast.FuncDecl) string {
	if f.Recv != nil {
		return receiver(f)
	}
	return f.Name.Name
}

// spread gives what is said of functions and types to all that use them.
func spread(files []parsed, said map[string]string) {
	for grown := true; grown; {
		grown = false
		for _, p := range files {
			for _, d := range p.file.Decls {
				f, ok := d.(*ast.FuncDecl)
				if !ok || f.Body == nil || said[owner(f)] != "" {
					continue
				}
				if used := mentions(f.Body, keys(said)); used != "" {
					said[owner(f)], grown = said[used], true
				}
			}
		}
	}
}
