package config

import (
	"errors"
	"testing"
)

// TestAccess holds what a file says about access rules.
func TestAccess(t *testing.T) {
	c, err := readText("acl_file rules.acl\ncolibri_firehose restrict\ncolibri_firehose_rate 100\ncolibri_roles_file roles.json\nlistener 1883\n")
	if want := (Access{ACLFile: "rules.acl", File: "a.conf", Line: 1, Firehose: "restrict", FirehoseRate: 100, RolesFile: "roles.json", RolesAt: Place{"a.conf", 4}}); err != nil || c.Access != want {
		t.Errorf("got %+v, %v, want %+v", c.Access, err, want)
	}
	for _, text := range []string{"colibri_firehose pace", "acl_file", "colibri_roles_file", "acl_file x\nper_listener_settings true",
		"per_listener_settings true\nlistener 1883\npassword_file x\nper_listener_settings false\nallow_anonymous true", "per_listener_settings true\nlistener 1883\nacl_file x"} {
		var mistake *Error
		if _, err := readText(text); !errors.As(err, &mistake) {
			t.Errorf("%q: got %v, want a mistake with its line", text, err)
		}
	}
}
