// Package tidy checks the rules of the house that prose does not hold: which
// package may import which, what a pure package must not do, names, formatting,
// statement ids and the symbols that ARCHITECTURE.md names. It reads the source
// as text and needs neither the network nor the go command.
//
// The rules about packages stand in layers.txt beside this file.
package tidy

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Problem is one broken rule.
type Problem struct {
	File string // path from the root of the module
	Line int    // from 1; 0 when the problem is not in one line
	Text string
}

// String returns the problem as "file:line: text".
func (p Problem) String() string {
	if p.Line == 0 {
		return p.File + ": " + p.Text
	}
	return fmt.Sprintf("%s:%d: %s", p.File, p.Line, p.Text)
}

// Check returns every broken rule in the module whose root is fsys, sorted by
// file and line. It holds no state and is safe for concurrent use.
func Check(fsys fs.FS) []Problem {
	c := &checker{
		fsys:     fsys,
		fset:     token.NewFileSet(),
		packages: map[string]*goPackage{},
		outside:  map[string]map[string]string{},
	}
	c.readModule()
	layers, problems := readLayers(fsys)
	c.layers, c.problems = layers, append(c.problems, problems...)
	if err := fs.WalkDir(fsys, ".", c.visit); err != nil {
		c.report(".", 0, "cannot be read: %v", err)
	}
	c.checkPackages()
	c.checkOutside()
	c.checkArchitecture()
	slices.SortFunc(c.problems, func(a, b Problem) int {
		if order := strings.Compare(a.File, b.File); order != 0 {
			return order
		}
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return strings.Compare(a.Text, b.Text)
	})
	return slices.Compact(c.problems)
}

// checker is one run of Check.
type checker struct {
	fsys     fs.FS
	fset     *token.FileSet
	module   string   // import path of the module
	requires []string // the modules that go.mod asks for
	layers   layers
	packages map[string]*goPackage        // by path in the module
	outside  map[string]map[string]string // outside module → package that imports it → a file that does
	nested   []string                     // directories of modules inside this one
	problems []Problem
}

// goPackage is one directory with Go files.
type goPackage struct {
	name       string
	documented bool
	files      []*ast.File // without tests
}

func (c *checker) report(file string, line int, format string, args ...any) {
	c.problems = append(c.problems, Problem{file, line, fmt.Sprintf(format, args...)})
}

// line returns the line of a position in a parsed file.
func (c *checker) line(pos token.Pos) int { return c.fset.Position(pos).Line }

// readModule reads the module's path and requirements from go.mod.
func (c *checker) readModule() {
	text, err := fs.ReadFile(c.fsys, "go.mod")
	if err != nil {
		c.report("go.mod", 0, "cannot be read: %v", err)
		return
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(strings.TrimPrefix(strings.TrimSpace(line), "require "))
		switch {
		case len(fields) >= 2 && fields[0] == "module":
			c.module = fields[1]
		case len(fields) >= 2 && strings.HasPrefix(fields[1], "v"):
			c.requires = append(c.requires, fields[0])
		}
	}
}

// visit checks one file or directory of the tree.
func (c *checker) visit(name string, entry fs.DirEntry, err error) error {
	if err != nil {
		return err
	}
	if entry.IsDir() {
		base := entry.Name()
		if name != "." && (strings.HasPrefix(base, ".") || base == "node_modules" || name == "bin" || name == "build") {
			return fs.SkipDir
		}
		if slices.Contains(bannedNames, base) {
			c.report(name, 0, "%q says nothing about what is inside: name it for what it holds", base)
		}
		if _, err := fs.Stat(c.fsys, path.Join(name, "go.mod")); err == nil && name != "." {
			c.nested = append(c.nested, name)
			if !c.layers.modules[name] {
				c.report(name, 0, "is a module of its own without a line in %s", layersFile)
			}
		}
		return nil
	}
	isGo := path.Ext(name) == ".go"
	isText := slices.Contains([]string{".txt", ".txtar"}, path.Ext(name))
	if !entry.Type().IsRegular() || !isGo && !isText {
		return nil
	}
	text, err := fs.ReadFile(c.fsys, name)
	if err != nil {
		return err
	}
	c.checkStatements(name, text)
	if isGo && !inside(name, "testdata") {
		c.checkGoFile(name, text)
	}
	return nil
}

// inside reports whether a directory of this name is on the way to the file.
func inside(name, directory string) bool {
	return slices.Contains(strings.Split(path.Dir(name), "/"), directory)
}

// inNested reports whether the file belongs to a module inside this one.
func (c *checker) inNested(name string) bool {
	return slices.ContainsFunc(c.nested, func(directory string) bool {
		return strings.HasPrefix(name, directory+"/")
	})
}

// bannedNames are names of packages and files that hold whatever finds no other place.
var bannedNames = []string{"utils", "util", "common", "types", "core", "helpers", "helper", "misc"}

// checkGoFile checks one Go file and files it under its package.
func (c *checker) checkGoFile(name string, text []byte) {
	formatted, err := format.Source(text)
	if err != nil {
		c.report(name, 0, "does not parse: %v", err)
		return
	}
	if !bytes.Equal(formatted, text) {
		c.report(name, 0, "is not gofmt-ed: run gofmt -w %s", name)
	}
	stem := strings.TrimSuffix(path.Base(name), ".go")
	isTest := strings.HasSuffix(stem, "_test")
	for _, suffix := range []string{"_test", "_linux", "_darwin", "_windows", "_unix", "_other"} {
		stem = strings.TrimSuffix(stem, suffix)
	}
	if slices.Contains(bannedNames, stem) {
		c.report(name, 0, "%q says nothing about what is inside: name it for its subject", stem)
	}
	if c.inNested(name) {
		return
	}
	file, err := parser.ParseFile(c.fset, name, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		c.report(name, 0, "does not parse: %v", err)
		return
	}
	dir := path.Dir(name)
	pkg := c.packages[dir]
	if pkg == nil {
		pkg = &goPackage{}
		c.packages[dir] = pkg
	}
	if slices.Contains(bannedNames, file.Name.Name) {
		c.report(name, c.line(file.Name.Pos()), "package %s: a package is named for what it holds", file.Name.Name)
	}
	if file.Doc != nil {
		pkg.documented = true
	}
	c.checkImports(name, dir, file, isTest)
	if isTest {
		return
	}
	pkg.name = file.Name.Name
	pkg.files = append(pkg.files, file)
	if c.layers.packages[dir].pure {
		c.checkPure(name, file)
	}
	if dir != "internal/cli" && !strings.HasPrefix(dir, "cmd/") {
		c.checkPrint(name, file)
	}
}

// checkImports checks the arrows that leave a file.
func (c *checker) checkImports(name, dir string, file *ast.File, isTest bool) {
	for _, spec := range file.Imports {
		target := importPath(spec)
		local, ours := strings.CutPrefix(target, c.module)
		first, _, _ := strings.Cut(target, "/")
		switch {
		case ours && (local == "" || local[0] == '/'):
			to := strings.TrimPrefix(local, "/")
			if to == "" {
				to = "."
			}
			if _, listed := c.layers.packages[to]; !listed {
				c.report(name, c.line(spec.Pos()), "imports %s, which has no line in %s", to, layersFile)
			} else if !isTest && !c.layers.allows(dir, to) {
				c.report(name, c.line(spec.Pos()), "%s may not import %s: %s does not say so", dir, to, layersFile)
			}
		case strings.Contains(first, ".") && !isTest && c.layers.packages[dir].floor != testFloor && !c.layers.shared(target):
			module := c.outsideModule(target)
			if c.outside[module] == nil {
				c.outside[module] = map[string]string{}
			}
			c.outside[module][dir] = name
		}
	}
}

// importPath returns the path of an import without its quotes.
func importPath(spec *ast.ImportSpec) string {
	target, err := strconv.Unquote(spec.Path.Value)
	if err != nil {
		return spec.Path.Value
	}
	return target
}

// outsideModule returns the module that an outside package belongs to: the longest
// requirement of go.mod that holds it, else its first three path elements.
func (c *checker) outsideModule(target string) string {
	longest := ""
	for _, module := range c.requires {
		if (target == module || strings.HasPrefix(target, module+"/")) && len(module) > len(longest) {
			longest = module
		}
	}
	if longest != "" {
		return longest
	}
	elements := strings.Split(target, "/")
	return strings.Join(elements[:min(3, len(elements))], "/")
}

// checkPackages checks what can be said of a package once all its files are read.
func (c *checker) checkPackages() {
	for dir, pkg := range c.packages {
		if _, listed := c.layers.packages[dir]; !listed {
			c.report(dir, 0, "is a package without a line in %s", layersFile)
		}
		if !pkg.documented {
			c.report(dir, 0, "no file has a package comment: say in one what the package is for")
		}
	}
}

// checkOutside checks that each outside module has one importer.
func (c *checker) checkOutside() {
	for module, importers := range c.outside {
		if len(importers) < 2 {
			continue
		}
		names := slices.Sorted(maps.Keys(importers))
		for _, dir := range names {
			c.report(importers[dir], 0, "outside module %s is imported by %s: let one package own it", module, strings.Join(names, " and "))
		}
	}
}
