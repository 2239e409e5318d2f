package tidy

import (
	"go/ast"
	"path"
	"slices"
	"strconv"
	"strings"
)

// impureImports are the packages that reach outside a pure package. What lies
// below them is impure too.
var impureImports = []string{
	"net", "os", "log", "math/rand", "crypto/rand", "crypto/tls", "syscall", "golang.org/x/sys",
}

// pureInImpure are the exceptions to impureImports: values without an outside.
var pureInImpure = []string{"net/netip", "net/url"}

// clockNames are the names, by their package, that read the clock or wait for it.
var clockNames = map[string][]string{
	"time": {"Now", "Since", "Until", "After", "AfterFunc", "Sleep", "Tick", "NewTimer", "NewTicker"},
	"context": {
		"AfterFunc", "WithDeadline", "WithDeadlineCause", "WithTimeout", "WithTimeoutCause",
	},
}

// printNames are the functions of package fmt that write to standard output.
var printNames = []string{"Print", "Printf", "Println"}

// checkPure reports what a file of a pure package must not do.
func (c *checker) checkPure(name string, file *ast.File) {
	for _, spec := range file.Imports {
		target := importPath(spec)
		impure := slices.ContainsFunc(impureImports, func(root string) bool {
			return target == root || strings.HasPrefix(target, root+"/")
		})
		if impure && !slices.Contains(pureInImpure, target) {
			c.report(name, c.line(spec.Pos()), "is of a pure package and imports %s", target)
		}
		if spec.Name != nil && spec.Name.Name == "." && clockNames[target] != nil {
			c.report(name, c.line(spec.Pos()), "imports %s with a dot, which hides the clock", target)
		}
	}
	ast.Inspect(file, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.GoStmt:
			c.report(name, c.line(node.Pos()), "is of a pure package and starts a goroutine")
		case *ast.SelectorExpr:
			for pkg, names := range clockNames {
				if called, ok := selected(node, importedAs(file, pkg)); ok && slices.Contains(names, called) {
					c.report(name, c.line(node.Pos()), "is of a pure package and uses %s.%s: take now as a parameter", pkg, called)
				}
			}
		}
		return true
	})
}

// checkPrint reports writes to standard output.
func (c *checker) checkPrint(name string, file *ast.File) {
	format := importedAs(file, "fmt")
	ast.Inspect(file, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.SelectorExpr:
			if called, ok := selected(node, format); ok && slices.Contains(printNames, called) {
				c.report(name, c.line(node.Pos()), "uses fmt.%s: only commands write to standard output", called)
			}
		case *ast.CallExpr:
			if called, ok := node.Fun.(*ast.Ident); ok && (called.Name == "print" || called.Name == "println") {
				c.report(name, c.line(node.Pos()), "uses %s, which is for debugging", called.Name)
			}
		}
		return true
	})
}

// importedAs returns the name under which a file knows an imported package, or
// "" when it does not import it.
func importedAs(file *ast.File, target string) string {
	for _, spec := range file.Imports {
		if spec.Path.Value != strconv.Quote(target) {
			continue
		}
		if spec.Name != nil {
			return spec.Name.Name
		}
		return path.Base(target)
	}
	return ""
}

// selected returns the name taken from the package that the file knows as pkg.
func selected(node *ast.SelectorExpr, pkg string) (string, bool) {
	left, ok := node.X.(*ast.Ident)
	return node.Sel.Name, ok && pkg != "" && left.Name == pkg
}
