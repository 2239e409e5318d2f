package main

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReadMutants(t *testing.T) {
	got, err := readMutants("# why\nmutant x lost\nfile a.go\n- \told\n- old 2\n+ new\n+ \n+ new 3\nfile b.go\n- b\n\nmutant y not asked for\n")
	want := []mutant{{"x", lost, []replacement{{"a.go", "\told\nold 2\n", "new\n\nnew 3\n"}, {"b.go", "b\n", ""}}}, {"y", notAsked, nil}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(mutant{}, replacement{})); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	for _, text := range []string{"file a.go\n", "mutant x\n", "mutant x lost\n- a\n", "mutant x lost\nfile a\n* b\n"} {
		if _, err := readMutants(text); err == nil {
			t.Errorf("%q: got no error", text)
		}
	}
}

func TestReplacement(t *testing.T) {
	r := replacement{"a.go", "two\nthree\n", "2\n3\n"}
	got, err := r.apply("one\ntwo\nthree\nfour\n")
	if want := "one\n2\n3\nfour\n"; err != nil || got != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
	if got, err = r.apply("two\nthree\n"); err != nil || got != "2\n3\n" {
		t.Errorf("got %q, %v", got, err)
	}
	for _, text := range []string{"one\n", "\ttwo\nthree\n", "two\nthree\ntwo\nthree\n", "two\nthree4\n"} {
		if _, err := r.apply(text); err == nil {
			t.Errorf("%q: got no error", text)
		}
	}
}

// TestMutantsFit fails when a line changes that a mutant replaces.
func TestMutantsFit(t *testing.T) {
	text, err := os.ReadFile("mutants.txt")
	if err != nil {
		t.Fatal(err)
	}
	mutants, err := readMutants(string(text))
	if err != nil || len(mutants) == 0 {
		t.Fatalf("got %d mutants, %v", len(mutants), err)
	}
	for _, m := range mutants {
		sources := map[string]string{}
		for _, r := range m.replaced {
			if _, read := sources[r.file]; !read {
				b, err := os.ReadFile("../../" + r.file)
				if err != nil {
					t.Fatal(err)
				}
				sources[r.file] = string(b)
			}
			if sources[r.file], err = r.apply(sources[r.file]); err != nil {
				t.Errorf("mutant %s: %v", m.name, err)
			}
			if strings.TrimSpace(r.new) == "" {
				t.Errorf("mutant %s puts nothing into %s", m.name, r.file)
			}
		}
	}
}
