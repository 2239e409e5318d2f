package tidy

import (
	"bufio"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
)

// layersFile is where the floors are written down, seen from the root of the module.
const layersFile = "internal/tidy/layers.txt"

// testFloor is the floor of packages that only tests import.
const testFloor = 0

// layer is what layers.txt says about one package.
type layer struct {
	line  int
	floor int // 1 is the ground; testFloor for test-only packages
	pure  bool
	any   bool     // may import everything on a lower floor
	allow []string // else these, by path in the module
}

// layers is layers.txt in memory.
type layers struct {
	packages map[string]layer
	modules  map[string]bool // directories that are modules of their own
	share    []string        // outside packages that several packages may import
}

// readLayers parses layers.txt and checks that every arrow in it goes down,
// and from a pure package to a pure one.
// What it cannot read is reported and left out.
func readLayers(fsys fs.FS) (layers, []Problem) {
	all := layers{packages: map[string]layer{}, modules: map[string]bool{}}
	text, err := fs.ReadFile(fsys, layersFile)
	if err != nil {
		return all, []Problem{{layersFile, 0, "cannot be read: " + err.Error()}}
	}
	var problems []Problem
	report := func(line int, format string, args ...any) {
		problems = append(problems, Problem{layersFile, line, fmt.Sprintf(format, args...)})
	}
	lines := bufio.NewScanner(strings.NewReader(string(text)))
	for n := 1; lines.Scan(); n++ {
		fields := strings.Fields(lines.Text())
		switch {
		case len(fields) == 0 || strings.HasPrefix(fields[0], "#"):
		case fields[0] == "module" && len(fields) >= 2:
			all.modules[fields[1]] = true
		case fields[0] == "share" && len(fields) >= 2:
			all.share = append(all.share, fields[1])
		case len(fields) < 4:
			report(n, "want floor, package, pure or -, imports; got %q", lines.Text())
		default:
			floor, err := strconv.Atoi(fields[0])
			if fields[0] == "test" {
				floor, err = testFloor, nil
			} else if err == nil && floor < 1 {
				err = strconv.ErrRange
			}
			if err != nil {
				report(n, "the floor is a number from 1, or test; got %q", fields[0])
				continue
			}
			if fields[2] != "pure" && fields[2] != "-" {
				report(n, "want pure or -, got %q", fields[2])
			}
			if _, twice := all.packages[fields[1]]; twice {
				report(n, "%s stands here twice", fields[1])
			}
			l := layer{line: n, floor: floor, pure: fields[2] == "pure"}
			switch fields[3] {
			case "*":
				l.any = true
			case "-":
			default:
				l.allow = fields[3:]
			}
			all.packages[fields[1]] = l
		}
	}
	for path, l := range all.packages {
		for _, to := range l.allow {
			below, listed := all.packages[to]
			if !listed {
				report(l.line, "%s may import %s, which has no line", path, to)
			} else if l.floor != testFloor && (below.floor == testFloor || below.floor >= l.floor) {
				report(l.line, "%s may import %s, which is not on a lower floor", path, to)
			} else if l.pure && !below.pure {
				report(l.line, "%s is pure and may import %s, which is not", path, to)
			}
		}
	}
	return all, problems
}

// allows reports whether the program code of package from may import package to.
func (all layers) allows(from, to string) bool {
	l, target := all.packages[from], all.packages[to]
	switch {
	case l.floor == testFloor:
		return true
	case target.floor == testFloor:
		return false
	case l.any:
		return target.floor < l.floor
	}
	return slices.Contains(l.allow, to)
}

// shared reports whether an outside package may be imported by several packages.
func (all layers) shared(path string) bool {
	return slices.ContainsFunc(all.share, func(prefix string) bool {
		return path == prefix || strings.HasPrefix(path, prefix+"/")
	})
}
