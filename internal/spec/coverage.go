package spec

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Test is a place that covers a statement.
type Test struct {
	File string // path from the root of the module
	Name string // of the Test or Fuzz function; empty for a transcript or a table of the file
}

// Coverage returns, for each id that a test names, the tests that name it, sorted
// by file and name. fsys is the root of the module. Modules inside it count too.
//
// A test names an id in its body, its comment or the names of its subtests; a
// table at package level and a transcript (testdata/**/*.txt, *.txtar) count under
// their file. Other functions do not count: a name in them does not say that any
// test calls them.
func Coverage(fsys fs.FS) (map[string][]Test, error) {
	found := map[string][]Test{}
	add := func(text string, test Test) {
		for _, id := range Named(text) {
			if !counts(id, test.File) {
				continue
			}
			if !slices.Contains(found[id], test) {
				found[id] = append(found[id], test)
			}
		}
	}
	err := fs.WalkDir(fsys, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if name != "." && !holdsTests(name, entry.Name()) {
				return fs.SkipDir
			}
			return nil
		}
		transcript := isTranscript(name)
		if !transcript && !strings.HasSuffix(name, "_test.go") {
			return nil
		}
		text, err := fs.ReadFile(fsys, name)
		if err != nil {
			return err
		}
		if transcript {
			add(string(text), Test{File: name})
			return nil
		}
		return addTests(name, text, add)
	})
	if err != nil {
		return nil, fmt.Errorf("look for tests: %w", err)
	}
	for _, tests := range found {
		slices.SortFunc(tests, func(a, b Test) int {
			return strings.Compare(a.File+"\x00"+a.Name, b.File+"\x00"+b.Name)
		})
	}
	return found, nil
}

// ends names the tests that show one end only, by the beginning of their path: the
// other end is played by the test, or by somebody else's program.
var ends = map[string]Party{
	"broker/":                 Server,
	"internal/session/":       Server,
	"internal/router/":        Server,
	"test/interop/libraries_": Server,
	"test/interop/library_":   Server,
	"test/interop/paho_":      Server,
	"client/":                 Client,
}

// counts reports whether a test in file can show the statement id.
func counts(id, file string) bool {
	statement, ok := Lookup(id)
	if !ok || statement.Binds == Both {
		return true
	}
	for beginning, end := range ends {
		if strings.HasPrefix(file, beginning) {
			return end == statement.Binds
		}
	}
	return true
}

// holdsTests reports whether a directory may hold tests of the protocol. Those of
// this package and of tidy name ids as examples.
func holdsTests(name, base string) bool {
	return !strings.HasPrefix(base, ".") && base != "node_modules" &&
		name != "internal/spec" && name != "internal/tidy"
}

// isTranscript reports whether the file is text below a testdata directory.
func isTranscript(name string) bool {
	extension := path.Ext(name)
	return (extension == ".txt" || extension == ".txtar") &&
		slices.Contains(strings.Split(path.Dir(name), "/"), "testdata")
}

// addTests hands each part of a test file that counts to add.
func addTests(name string, text []byte, add func(string, Test)) error {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, name, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	for _, declaration := range file.Decls {
		start, test := declaration.Pos(), Test{File: name}
		switch declaration := declaration.(type) {
		case *ast.FuncDecl:
			if declaration.Recv != nil || !isTest(declaration.Name.Name) {
				continue
			}
			test.Name = declaration.Name.Name
			if declaration.Doc != nil {
				start = declaration.Doc.Pos()
			}
		case *ast.GenDecl:
			if declaration.Tok != token.VAR {
				continue
			}
			if declaration.Doc != nil {
				start = declaration.Doc.Pos()
			}
		}
		add(string(text[fset.Position(start).Offset:fset.Position(declaration.End()).Offset]), test)
	}
	return nil
}

// isTest reports whether the go command runs a function of this name as a test.
func isTest(name string) bool {
	return strings.HasPrefix(name, "Test") || strings.HasPrefix(name, "Fuzz")
}
