package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const block = "# a remark\n\nforget it\nbroker/x.go\n<\tkeep(it)\n<\tdone()\n>\tdone()\n"

func TestParse(t *testing.T) {
	got, err := parse(block)
	if err != nil {
		t.Fatal(err)
	}
	want := []mutant{{name: "forget it", file: "broker/x.go", old: "\tkeep(it)\n\tdone()\n", new: "\tdone()\n"}}
	if d := cmp.Diff(want, got, cmp.AllowUnexported(mutant{})); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	for name, text := range map[string]string{
		"a line that is neither": strings.Replace(block, ">", "+", 1),
		"nothing that is new":    strings.Replace(block, ">\tdone()\n", "", 1),
		"nothing that is old":    "forget it\nbroker/x.go\n>\tdone()\n",
	} {
		if _, err := parse(text); err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
}

func TestApply(t *testing.T) {
	m := mutant{name: "forget it", file: "x.go", old: "\tkeep(it)\n", new: "\tdone()\n"}
	for _, c := range []struct{ name, source, want, wantErr string }{
		{"once", "{\n\tkeep(it)\n}\n", "{\n\tdone()\n}\n", ""},
		{"gone", "{\n}\n", "", "0 times"},
		{"twice", "\tkeep(it)\n\tkeep(it)\n", "", "2 times"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := m.apply(c.source)
			switch {
			case c.wantErr == "" && err != nil, c.wantErr != "" && (err == nil || !strings.Contains(err.Error(), c.wantErr)):
				t.Errorf("got error %v, want one that says %q", err, c.wantErr)
			case got != c.want:
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}
