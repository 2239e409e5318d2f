package config

import "time"

// Abuse are options against devices that do too much of something. Mosquitto does not have
// them, so their names begin with colibri_.
type Abuse struct {
	MaxPerAddress int           // Network Connections of one IP address; 0: no limit
	TakeoverPause time.Duration // before a client connects whose Client Identifier is taken over again and again; 0: none
}

// abuseOptions returns the rows of the table for Abuse.
func abuseOptions() []option {
	return []option{
		{names: words("colibri_max_connections_per_address"), kind: number, max: most, standard: "0", set: func(r *reader, v value) error {
			r.config.Abuse.MaxPerAddress = v.number
			return nil
		}},
		{names: words("colibri_takeover_pause"), kind: number, max: 5, standard: "0", set: func(r *reader, v value) error {
			r.config.Abuse.TakeoverPause = time.Duration(v.number) * time.Second
			return nil
		}},
	}
}
