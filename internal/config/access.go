package config

// Access says which rules decide what clients may do.
type Access struct {
	ACLFile string // path of an ACL file, as Mosquitto reads it; empty for none
	File    string // where the option stands
	Line    int

	RolesFile string // path of a file of roles and groups; empty for none
	RolesAt   Place

	Firehose     string // who may subscribe to everything: allow, restrict or refuse
	FirehoseRate int    // QoS 0 messages a second to a client that does
}

// Place is where an option stands.
type Place struct {
	File string
	Line int
}

// firehoses are the values of colibri_firehose.
var firehoses = words("allow restrict refuse")

// accessOptions returns the rows of the table for Access.
func accessOptions() []option {
	return []option{
		{names: words("acl_file"), set: func(r *reader, v value) error {
			if r.perListener && r.current != nil {
				return r.errorf("acl_file: this version has one for all listeners; write it above the first, or leave per_listener_settings out")
			}
			r.config.Access.ACLFile, r.config.Access.File, r.config.Access.Line = v.text, r.file, r.line
			return nil
		}},
		{names: words("colibri_roles_file"), set: func(r *reader, v value) error {
			r.config.Access.RolesFile, r.config.Access.RolesAt = v.text, Place{r.file, r.line}
			return nil
		}},
		{names: words("colibri_firehose"), standard: firehoses[0], set: func(r *reader, v value) error {
			return r.oneOf(v.text, firehoses, &r.config.Access.Firehose)
		}},
		{names: words("colibri_firehose_rate"), kind: number, max: most, standard: "0", set: func(r *reader, v value) error {
			r.config.Access.FirehoseRate = v.number
			return nil
		}},
	}
}
