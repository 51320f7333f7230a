package engine_test

import (
	"fmt"
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// described are the packages that callers read with go doc.
var described = []string{"engine", "messages", "throttle", "throttle/feedback", "throttle/limitfile", "auth", "auth/oauth2", "memory"}

// What is looked for in the words of a description.
var (
	ofErrors      = regexp.MustCompile(`(?i)\berr|\bErr[A-Z]|error|fail|refus|mistake|malformed|nil\b`)
	ofDefaults    = regexp.MustCompile(`(?i)\bzero\b|\b0\b|\bnil\b|\bempty\b|default|\bfalse\b|\bwithout\b|\bnone\b|negative|must`)
	ofConcurrency = regexp.MustCompile(`(?i)concurren|goroutine|one at a time|not to be shared|read only|immutable|belongs to`)
)

// configured are the structs that callers fill in: what their fields mean when they are
// left alone is theirs to say.
var configured = regexp.MustCompile(`^(Config|Clock|Admission|Connections|Dial|Egress|Responses|Retry|Request|Upload|Charge|Settlement|FanOut|Limit|Options|Pacing|NonceRule|Codes|TimeEndpoint)$`)

// TestWhatIsExportedIsDescribed lists every exported name whose description leaves out what
// a caller must know: that there is one; what an error means; what a field is when it is left
// alone; whether a value with methods may be shared.
func TestWhatIsExportedIsDescribed(t *testing.T) {
	var missing []string
	for _, folder := range described {
		if folder != "memory" { // whose Clock is none to be configured
			missing = append(missing, undescribed(folder, documented(t, folder))...)
		}
	}
	slices.Sort(missing)
	require.Empty(t, missing, strings.Join(missing, "\n"))
}

func documented(t *testing.T, folder string) *doc.Package {
	set := token.NewFileSet()
	names, err := filepath.Glob(filepath.Join("..", folder, "*.go"))
	require.NoError(t, err)
	var files []*ast.File
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(set, name, nil, parser.ParseComments)
		require.NoError(t, err)
		files = append(files, file)
	}
	d, err := doc.NewFromFiles(set, files, module+folder)
	require.NoError(t, err)
	return d
}

func undescribed(folder string, p *doc.Package) (missing []string) {
	lacks := func(name, what string) { missing = append(missing, folder+"."+name+": "+what) }
	whole := ofConcurrency.MatchString(p.Doc) // it speaks for all of the package
	for _, f := range p.Funcs {
		lacksOfFunc(f.Name, f, lacks)
	}
	for _, v := range append(slices.Clone(p.Consts), p.Vars...) {
		lacksOfValues(v, lacks)
	}
	for _, typ := range p.Types {
		if typ.Doc == "" {
			lacks(typ.Name, "says nothing")
		}
		for _, f := range typ.Funcs {
			lacksOfFunc(f.Name, f, lacks)
		}
		shared := whole || ofConcurrency.MatchString(typ.Doc)
		for _, f := range typ.Methods {
			lacksOfFunc(typ.Name+"."+f.Name, f, lacks)
			shared = shared || ofConcurrency.MatchString(f.Doc) || !strings.HasPrefix(f.Recv, "*") || ast.IsExported(f.Name) && printing[f.Name]
		}
		if len(typ.Methods) > 0 && !shared {
			lacks(typ.Name, "does not say whether it may be shared by goroutines")
		}
		for _, v := range append(slices.Clone(typ.Consts), typ.Vars...) {
			lacksOfValues(v, lacks)
		}
		for _, spec := range typ.Decl.Specs {
			if s, ok := spec.(*ast.TypeSpec); ok {
				lacksOfFields(s, lacks)
			}
		}
	}
	return missing
}

// printing are methods whose meaning is that of the interface which they are part of.
var printing = map[string]bool{
	"Error": true, "Unwrap": true, "Is": true, "As": true, "String": true, "Format": true, "LogValue": true, "MarshalJSON": true,
	"UnmarshalJSON": true, "GoString": true, "MarshalText": true, "UnmarshalText": true, "Timeout": true, "Temporary": true,
}

func lacksOfFunc(name string, f *doc.Func, lacks func(name, what string)) {
	if printing[f.Name] || f.Level > 0 { // promoted: described where it is declared
		return
	}
	if f.Doc == "" {
		lacks(name, "says nothing")
		return
	}
	if results := f.Decl.Type.Results; results != nil {
		for _, r := range results.List {
			if id, ok := r.Type.(*ast.Ident); ok && id.Name == "error" && !ofErrors.MatchString(f.Doc) && !partOf.MatchString(f.Doc) {
				lacks(name, "does not say when it fails")
			}
		}
	}
}

// partOf says that an interface has the description.
var partOf = regexp.MustCompile(`is part of |implements |calls f\b`)

func lacksOfValues(v *doc.Value, lacks func(name, what string)) {
	if v.Doc != "" {
		return
	}
	for _, spec := range v.Decl.Specs {
		s := spec.(*ast.ValueSpec)
		if s.Doc == nil && s.Comment == nil && ast.IsExported(s.Names[0].Name) {
			lacks(s.Names[0].Name, "says nothing")
		}
	}
}

// speaksForItself holds for what is off, and for what is a group of settings with
// descriptions of their own.
func speaksForItself(kind ast.Expr) bool {
	id, ok := kind.(*ast.Ident)
	return ok && (id.Name == "bool" || configured.MatchString(id.Name))
}

func lacksOfFields(s *ast.TypeSpec, lacks func(name, what string)) {
	structure, ok := s.Type.(*ast.StructType)
	if !ok {
		return
	}
	above := "" // one description may be for the fields that follow it
	for _, field := range structure.Fields.List {
		said := field.Doc.Text() + field.Comment.Text()
		if said == "" {
			said = above
		}
		above = said
		for _, name := range field.Names {
			full := fmt.Sprintf("%s.%s", s.Name.Name, name.Name)
			switch {
			case !name.IsExported():
			case said == "" && configured.MatchString(s.Name.Name):
				lacks(full, "says nothing")
			case configured.MatchString(s.Name.Name) && !ofDefaults.MatchString(said) && !speaksForItself(field.Type):
				lacks(full, "does not say what it is when it is left alone")
			}
		}
	}
}

// TestEveryDoorHasAnExampleThatRuns looks for each function that is exported, and each
// method of an Engine and a Pending, in the examples of its package that are run.
func TestEveryDoorHasAnExampleThatRuns(t *testing.T) {
	var missing []string
	for _, folder := range described {
		shown := namesInExamples(t, folder)
		p := documented(t, folder)
		doors := slices.Clone(p.Funcs)
		for _, typ := range p.Types {
			doors = append(doors, typ.Funcs...)
			if folder == "engine" && (typ.Name == "Engine" || typ.Name == "Pending") {
				doors = append(doors, typ.Methods...)
			}
		}
		for _, f := range doors {
			if !shown[f.Name] && !printing[f.Name] && !notDoors[folder+"."+f.Name] {
				missing = append(missing, folder+"."+f.Name)
			}
		}
	}
	slices.Sort(missing)
	require.Empty(t, missing, strings.Join(missing, "\n"))
}

// notDoors are exported for other packages of this module alone: what an engine asks of
// authenticators, what a file's memory is tested by, how errors are made.
var notDoors = map[string]bool{
	"auth.LaneOf": true, "auth.RaiseNonce": true, "auth.RefusedNonce": true, "auth.RefusedTimestamp": true, "auth.Rejected": true,
	"auth.Remember": true, "auth.SendKey": true, "auth.SignsBody": true, "auth.Unsign": true,
	"memory.FileAt": true, "memory.ThisMachine": true,
	"messages.CauseFirst": true, "messages.ContextError": true, "messages.Discreet": true, "messages.Disclosed": true, "messages.HoldsNil": true,
	"messages.NewError": true, "messages.NewSource": true, "messages.NotCarriedOut": true, "messages.OutcomeOf": true,
	"messages.Permanent": true, "messages.WithoutQuotes": true,
}

// namesInExamples are the names that the files of runnable examples of a package use.
func namesInExamples(t *testing.T, folder string) map[string]bool {
	names := map[string]bool{}
	files, err := filepath.Glob(filepath.Join("..", folder, "*_test.go"))
	require.NoError(t, err)
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		require.NoError(t, err)
		runs := func(example *doc.Example) bool { return example.Output != "" || example.EmptyOutput }
		if !slices.ContainsFunc(doc.Examples(file), runs) {
			continue
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if used, ok := n.(*ast.SelectorExpr); ok {
				names[used.Sel.Name] = true
			}
			return true
		})
	}
	return names
}
