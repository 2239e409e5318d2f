package tidy

import (
	"maps"
	"os"
	"strings"
	"testing"
	"testing/fstest"
)

func TestHouse(t *testing.T) {
	for _, problem := range Check(os.DirFS("../..")) {
		t.Error(problem)
	}
}

// smallHouse is a tree in which every rule holds. Each test breaks one thing in it.
var smallHouse = map[string]string{
	"go.mod": "module example.org/house\n\ngo 1.26\n\nrequire (\n\tgolang.org/x/sys v0.1.0\n\tgithub.com/some/thing v1.2.3\n)\n",
	"internal/tidy/layers.txt": `
# floor package kind imports
1       .                pure  -
1       disk             -     -
2       topic            pure  .
3       broker           -     . topic
3       client           -     . topic
6       internal/cli     -     *
7       cmd/house        -     internal/cli
test    internal/peer    -     *
module  test/interop     outside programs
share   golang.org/x/sys/unix   system calls
`,
	"ARCHITECTURE.md":             "# Architecture\n",
	"house.go":                    "// Package house is the root.\npackage house\n",
	"topic/topic.go":              "// Package topic is pure.\npackage topic\n\nimport _ \"example.org/house\"\n",
	"broker/broker.go":            "// Package broker serves.\npackage broker\n\nimport (\n\t\"time\"\n\n\t_ \"example.org/house/topic\"\n\t_ \"github.com/some/thing/part\"\n)\n\nfunc now() time.Time { return time.Now() }\n",
	"internal/cli/pub.go":         "// Package cli is the commands.\npackage cli\n\nimport (\n\t\"fmt\"\n\n\t_ \"example.org/house/broker\"\n)\n\nfunc pub() { fmt.Println() }\n",
	"test/interop/go.mod":         "module example.org/house/test/interop\n",
	"test/interop/interop.go":     "package interop\n\nimport _ \"example.org/house/anything\"\n",
	"broker/testdata/old/old.go":  "package   old\n",
	"node_modules/x/utils/bad.go": "package   utils\n",
}

// wrongID looks like the id of a statement and is none. It is put together here,
// so that the check of this file does not find it.
const wrongID = "MQTT" + "-3.1.0-99"

// houseWith returns the small house with files added or replaced. An empty text
// takes the file away.
func houseWith(files map[string]string) fstest.MapFS {
	all := maps.Clone(smallHouse)
	maps.Copy(all, files)
	fsys := fstest.MapFS{}
	for name, text := range all {
		if text != "" {
			fsys[name] = &fstest.MapFile{Data: []byte(text)}
		}
	}
	return fsys
}

func TestSmallHouseIsTidy(t *testing.T) {
	for _, problem := range Check(houseWith(nil)) {
		t.Error(problem)
	}
}

func TestRules(t *testing.T) {
	layers := smallHouse["internal/tidy/layers.txt"]
	tests := []struct {
		name  string
		files map[string]string
		want  string // the one problem; "" when the tree is tidy
	}{
		{"import of a package without a line",
			map[string]string{"broker/conn.go": "package broker\n\nimport _ \"example.org/house/attic\"\n"},
			"broker/conn.go:3: imports attic, which has no line in internal/tidy/layers.txt"},
		{"a house without a map",
			map[string]string{"ARCHITECTURE.md": ""},
			"ARCHITECTURE.md: cannot be read: open ARCHITECTURE.md: file does not exist"},
		{"import that goes up",
			map[string]string{"topic/tree.go": "package topic\n\nimport _ \"example.org/house/broker\"\n"},
			"topic/tree.go:3: topic may not import broker: internal/tidy/layers.txt does not say so"},
		{"import on the same floor",
			map[string]string{"broker/conn.go": "package broker\n\nimport _ \"example.org/house/client\"\n"},
			"broker/conn.go:3: broker may not import client: internal/tidy/layers.txt does not say so"},
		{"import that goes down but is not listed",
			map[string]string{"broker/conn.go": "package broker\n\nimport _ \"example.org/house/disk\"\n"},
			"broker/conn.go:3: broker may not import disk: internal/tidy/layers.txt does not say so"},
		{"star does not reach up",
			map[string]string{"internal/cli/sub.go": "package cli\n\nimport _ \"example.org/house/cmd/house\"\n"},
			"internal/cli/sub.go:3: internal/cli may not import cmd/house: internal/tidy/layers.txt does not say so"},
		{"a program does not import test peers",
			map[string]string{"internal/cli/sub.go": "package cli\n\nimport _ \"example.org/house/internal/peer\"\n"},
			"internal/cli/sub.go:3: internal/cli may not import internal/peer: internal/tidy/layers.txt does not say so"},
		{"a test may import what it needs",
			map[string]string{"topic/tree_test.go": "package topic_test\n\nimport (\n\t_ \"example.org/house/broker\"\n\t_ \"example.org/house/internal/peer\"\n)\n"}, ""},
		{"a module with a longer name is not ours",
			map[string]string{"broker/conn.go": "package broker\n\nimport _ \"example.org/housekeeping\"\n"}, ""},

		{"a listed arrow that goes up",
			map[string]string{"internal/tidy/layers.txt": layers + "2 deep - broker\n"},
			"internal/tidy/layers.txt:13: deep may import broker, which is not on a lower floor"},
		{"a listed arrow on the same floor",
			map[string]string{"internal/tidy/layers.txt": layers + "2 deep - topic\n"},
			"internal/tidy/layers.txt:13: deep may import topic, which is not on a lower floor"},
		{"a listed arrow from pure to impure",
			map[string]string{"internal/tidy/layers.txt": layers + "2 deep pure disk\n"},
			"internal/tidy/layers.txt:13: deep is pure and may import disk, which is not"},
		{"a listed arrow to nowhere",
			map[string]string{"internal/tidy/layers.txt": layers + "2 deep - attic\n"},
			"internal/tidy/layers.txt:13: deep may import attic, which has no line"},
		{"a package listed twice",
			map[string]string{"internal/tidy/layers.txt": layers + "3 client - .\n"},
			"internal/tidy/layers.txt:13: client stands here twice"},
		{"a line that cannot be read",
			map[string]string{"internal/tidy/layers.txt": layers + "top client - .\n"},
			"internal/tidy/layers.txt:13: the floor is a number from 1, or test; got \"top\""},
		{"a short line",
			map[string]string{"internal/tidy/layers.txt": layers + "2 attic\n"},
			"internal/tidy/layers.txt:13: want floor, package, pure or -, imports; got \"2 attic\""},
		{"a kind that does not exist",
			map[string]string{"internal/tidy/layers.txt": layers + "2 attic clean -\n"},
			"internal/tidy/layers.txt:13: want pure or -, got \"clean\""},

		{"a package without a line",
			map[string]string{"attic/attic.go": "// Package attic is new.\npackage attic\n"},
			"attic: is a package without a line in internal/tidy/layers.txt"},
		{"a package without a comment",
			map[string]string{"disk/disk.go": "package disk\n"},
			"disk: no file has a package comment: say in one what the package is for"},
		{"a module without a line",
			map[string]string{"web/tool/go.mod": "module example.org/tool\n"},
			"web/tool: is a module of its own without a line in internal/tidy/layers.txt"},

		{"a banned file name",
			map[string]string{"broker/helpers_linux_test.go": "package broker\n"},
			"broker/helpers_linux_test.go: \"helpers\" says nothing about what is inside: name it for its subject"},
		{"a banned directory",
			map[string]string{"web/util/index.html": "\n"},
			"web/util: \"util\" says nothing about what is inside: name it for what it holds"},
		{"a banned package name",
			map[string]string{"cmd/house/main.go": "// Package misc is badly named.\npackage misc\n"},
			"cmd/house/main.go:2: package misc: a package is named for what it holds"},

		{"net in a pure package",
			map[string]string{"topic/tree.go": "package topic\n\nimport _ \"net/http\"\n"},
			"topic/tree.go:3: is of a pure package and imports net/http"},
		{"log/slog in a pure package",
			map[string]string{"house.go": "// Package house is the root.\npackage house\n\nimport _ \"log/slog\"\n"},
			"house.go:4: is of a pure package and imports log/slog"},
		{"math/rand/v2 in a pure package",
			map[string]string{"topic/tree.go": "package topic\n\nimport _ \"math/rand/v2\"\n"},
			"topic/tree.go:3: is of a pure package and imports math/rand/v2"},
		{"net/netip is pure",
			map[string]string{"topic/tree.go": "package topic\n\nimport _ \"net/netip\"\n"}, ""},
		{"the clock in a pure package",
			map[string]string{"topic/tree.go": "package topic\n\nimport clock \"time\"\n\nvar now = clock.Now\n"},
			"topic/tree.go:5: is of a pure package and uses time.Now: take now as a parameter"},
		{"the clock of a context in a pure package",
			map[string]string{"topic/tree.go": "package topic\n\nimport \"context\"\n\nvar wait = context.WithTimeout\n"},
			"topic/tree.go:5: is of a pure package and uses context.WithTimeout: take now as a parameter"},
		{"the clock through a dot",
			map[string]string{"topic/tree.go": "package topic\n\nimport . \"time\"\n\nvar now = Now\n"},
			"topic/tree.go:3: imports time with a dot, which hides the clock"},
		{"a duration is no clock",
			map[string]string{"topic/tree.go": "package topic\n\nimport \"time\"\n\nconst wait = time.Second\n"}, ""},
		{"a goroutine in a pure package",
			map[string]string{"topic/tree.go": "package topic\n\nfunc grow() {\n\tgo func() {}()\n}\n"},
			"topic/tree.go:4: is of a pure package and starts a goroutine"},
		{"tests of a pure package may do as they like",
			map[string]string{"topic/tree_test.go": "package topic\n\nimport \"os\"\n\nfunc grow() { go os.Exit(1) }\n"}, ""},

		{"fmt.Println outside the commands",
			map[string]string{"broker/conn.go": "package broker\n\nimport \"fmt\"\n\nfunc show() { fmt.Println() }\n"},
			"broker/conn.go:5: uses fmt.Println: only commands write to standard output"},
		{"println anywhere",
			map[string]string{"broker/conn.go": "package broker\n\nfunc show() { println() }\n"},
			"broker/conn.go:3: uses println, which is for debugging"},
		{"an example prints",
			map[string]string{"broker/example_test.go": "package broker\n\nimport \"fmt\"\n\nfunc Example() { fmt.Println() }\n"}, ""},

		{"golang.org/x/sys/unix may be shared",
			map[string]string{
				"disk/disk.go":   "// Package disk writes.\npackage disk\n\nimport _ \"golang.org/x/sys/unix\"\n",
				"broker/conn.go": "package broker\n\nimport _ \"golang.org/x/sys/unix\"\n"}, ""},
		{"an outside module in a test and a program",
			map[string]string{"disk/disk_test.go": "// Package disk writes.\npackage disk\n\nimport _ \"github.com/some/thing\"\n"}, ""},

		{"a statement that exists",
			map[string]string{"broker/conn.go": "package broker\n\n// [MQTT-3.1.0-1] [MQTT311-3.1.0-1]\n"}, ""},
		{"a statement that does not exist",
			map[string]string{"broker/conn.go": "package broker\n\n// [" + wrongID + "]\n"},
			"broker/conn.go:3: " + wrongID + " is not a statement of either standard: see internal/spec"},
		{"a statement of 5.0 only, with the mark of 3.1.1",
			map[string]string{"broker/conn.go": "package broker\n\n// [MQTT" + "311-3.8.4-8]\n"},
			"broker/conn.go:3: MQTT" + "311-3.8.4-8 is not a statement of either standard: see internal/spec"},
		{"a wrong statement in a transcript",
			map[string]string{"broker/testdata/will.txt": "connect\n# [" + wrongID + "]\n"},
			"broker/testdata/will.txt:2: " + wrongID + " is not a statement of either standard: see internal/spec"},
		{"a wrong statement in a module inside",
			map[string]string{"test/interop/paho_test.go": "package interop\n\n// " + wrongID + "\n"},
			"test/interop/paho_test.go:3: " + wrongID + " is not a statement of either standard: see internal/spec"},

		{"a symbol that exists, and its members",
			map[string]string{
				"ARCHITECTURE.md": "`broker.Serve(l)` `broker.Conn.Close()` `broker.Conn.outbox` `broker.Log.Append` `broker.Queue[V].Len` `*broker.Queue[V]` `broker.Queue[V]` `broker.limit` `house.Version` `broker.go` `net.Conn` `broker.Conn.Mutex`\n",
				"broker/conn.go":  "package broker\n\nimport \"sync\"\n\ntype Conn struct {\n\tsync.Mutex\n\toutbox []byte\n}\n\nfunc (c *Conn) Close() {}\n\nfunc Serve() {}\n\ntype Log interface{ Append() }\n\nconst limit = 1\n\ntype Queue[V any] []V\n\nfunc (q *Queue[V]) Len() int { return len(*q) }\n",
				"version.go":      "package house\n\nvar Version = 1\n",
			}, ""},
		{"a symbol that does not exist",
			map[string]string{"ARCHITECTURE.md": "# Map\n\nthe `broker.Reactor` spins\n"},
			"ARCHITECTURE.md:3: names broker.Reactor, which does not exist"},
		{"a method that does not exist",
			map[string]string{
				"ARCHITECTURE.md": "`broker.Conn.Open()`\n",
				"broker/conn.go":  "package broker\n\ntype Conn struct{}\n"},
			"ARCHITECTURE.md:1: names broker.Conn.Open, which does not exist"},
		{"a symbol of a package that is not there yet",
			map[string]string{"ARCHITECTURE.md": "`disk.Open`\n"},
			"ARCHITECTURE.md:1: names disk.Open, which does not exist"},
		{"a symbol that only a test has",
			map[string]string{
				"ARCHITECTURE.md":     "`broker.Fake`\n",
				"broker/fake_test.go": "package broker\n\ntype Fake int\n"},
			"ARCHITECTURE.md:1: names broker.Fake, which does not exist"},

		{"a file that is not gofmt-ed",
			map[string]string{"broker/conn.go": "package  broker\n"},
			"broker/conn.go: is not gofmt-ed: run gofmt -w broker/conn.go"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			wantProblems(t, Check(houseWith(test.files)), test.want)
		})
	}
}

func TestOutsideModuleHasOneImporter(t *testing.T) {
	got := Check(houseWith(map[string]string{
		"disk/disk.go": "// Package disk writes.\npackage disk\n\nimport _ \"github.com/some/thing\"\n",
	}))
	wantProblems(t, got,
		"broker/broker.go: outside module github.com/some/thing is imported by broker and disk: let one package own it",
		"disk/disk.go: outside module github.com/some/thing is imported by broker and disk: let one package own it")
}

func TestFileThatDoesNotParse(t *testing.T) {
	got := Check(houseWith(map[string]string{"broker/conn.go": "package broker\n\nfunc {\n"}))
	if len(got) != 1 || !strings.HasPrefix(got[0].String(), "broker/conn.go: does not parse: ") {
		t.Errorf("got %v, want one problem that says that broker/conn.go does not parse", got)
	}
}

func TestWithoutLayers(t *testing.T) {
	got := Check(houseWith(map[string]string{"internal/tidy/layers.txt": ""}))
	for _, problem := range got {
		if problem.File == layersFile && strings.HasPrefix(problem.Text, "cannot be read") {
			return
		}
	}
	t.Errorf("got %v, want a problem that says that %s cannot be read", got, layersFile)
}

// wantProblems compares problems with lines of text; a lone "" wants none.
func wantProblems(t *testing.T, got []Problem, want ...string) {
	t.Helper()
	if len(want) == 1 && want[0] == "" {
		want = nil
	}
	texts := make([]string, len(got))
	for i, problem := range got {
		texts[i] = problem.String()
	}
	if strings.Join(texts, "\n") != strings.Join(want, "\n") {
		t.Errorf("got problems:\n%s\nwant:\n%s", strings.Join(texts, "\n"), strings.Join(want, "\n"))
	}
}
