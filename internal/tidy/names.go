package tidy

import (
	"go/ast"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/colibri-mqtt/colibri/internal/spec"
)

// checkStatements reports ids of statements that neither standard has.
func (c *checker) checkStatements(name string, text []byte) {
	number := 0
	for line := range strings.Lines(string(text)) {
		number++
		for _, id := range spec.Named(line) {
			if _, ok := spec.Lookup(id); !ok {
				c.report(name, number, "%s is not a statement of either standard: see internal/spec", id)
			}
		}
	}
}

// architectureFile describes the house for its readers.
const architectureFile = "ARCHITECTURE.md"

// symbolPattern matches package.Symbol, package.Type.Method and what may follow a
// symbol (type parameters, an argument list) between backticks.
var symbolPattern = regexp.MustCompile("`\\*?([a-z][a-z0-9]*)\\.([A-Za-z_]\\w*)(?:\\.([A-Za-z_]\\w*))?(?:\\[[^`]*\\])?(?:\\([^`]*\\))?`")

// fileEndings are what follows the dot in names of files, which are no symbols.
var fileEndings = []string{"go", "md", "txt", "conf", "json", "yaml", "service", "pcap", "pcapng"}

// checkArchitecture reports symbols of our packages that ARCHITECTURE.md names and
// that do not exist. Names of other packages, such as `net.Conn`, are left alone.
func (c *checker) checkArchitecture() {
	text, err := fs.ReadFile(c.fsys, architectureFile)
	if err != nil {
		c.report(architectureFile, 0, "cannot be read: %v", err)
		return
	}
	symbols := c.symbols()
	number := 0
	for line := range strings.Lines(string(text)) {
		number++
		for _, match := range symbolPattern.FindAllStringSubmatch(line, -1) {
			pkg, symbol, member := match[1], match[2], match[3]
			declared, ours := symbols[pkg]
			if !ours || member == "" && slices.Contains(fileEndings, symbol) {
				continue
			}
			if member != "" {
				symbol += "." + member
			}
			if !declared[symbol] {
				c.report(architectureFile, number, "names %s.%s, which does not exist", pkg, symbol)
			}
		}
	}
}

// symbols returns what each package declares, by the package's own name: names at
// its top level, and methods and fields as Type.Name. A package that stands in
// layers.txt but not in the tree declares nothing.
func (c *checker) symbols() map[string]map[string]bool {
	all := map[string]map[string]bool{}
	for dir := range c.layers.packages {
		if dir != "." && !strings.HasPrefix(dir, "cmd/") {
			all[path.Base(dir)] = map[string]bool{}
		}
	}
	for _, pkg := range c.packages {
		if pkg.name == "" || pkg.name == "main" {
			continue
		}
		if all[pkg.name] == nil {
			all[pkg.name] = map[string]bool{}
		}
		for _, file := range pkg.files {
			for _, declaration := range file.Decls {
				addSymbols(all[pkg.name], declaration)
			}
		}
	}
	return all
}

// addSymbols adds what one declaration declares.
func addSymbols(symbols map[string]bool, declaration ast.Decl) {
	switch declaration := declaration.(type) {
	case *ast.FuncDecl:
		name := declaration.Name.Name
		if declaration.Recv != nil && len(declaration.Recv.List) == 1 {
			name = typeName(declaration.Recv.List[0].Type) + "." + name
		}
		symbols[name] = true
	case *ast.GenDecl:
		for _, spec := range declaration.Specs {
			switch spec := spec.(type) {
			case *ast.ValueSpec:
				for _, name := range spec.Names {
					symbols[name.Name] = true
				}
			case *ast.TypeSpec:
				symbols[spec.Name.Name] = true
				addMembers(symbols, spec.Name.Name, spec.Type)
			}
		}
	}
}

// addMembers adds the fields of a struct or the methods of an interface.
func addMembers(symbols map[string]bool, name string, definition ast.Expr) {
	var members *ast.FieldList
	switch definition := definition.(type) {
	case *ast.StructType:
		members = definition.Fields
	case *ast.InterfaceType:
		members = definition.Methods
	default:
		return
	}
	for _, member := range members.List {
		for _, ident := range member.Names {
			symbols[name+"."+ident.Name] = true
		}
		if len(member.Names) == 0 {
			symbols[name+"."+typeName(member.Type)] = true
		}
	}
}

// typeName returns the name of a receiver's or an embedded field's type, without
// pointer, package and type parameters.
func typeName(expression ast.Expr) string {
	switch expression := expression.(type) {
	case *ast.Ident:
		return expression.Name
	case *ast.StarExpr:
		return typeName(expression.X)
	case *ast.SelectorExpr:
		return expression.Sel.Name
	case *ast.IndexExpr:
		return typeName(expression.X)
	case *ast.IndexListExpr:
		return typeName(expression.X)
	}
	return ""
}
