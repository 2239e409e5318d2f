package config

import (
	"path/filepath"
)

// Own are the options that Mosquitto does not have. Their names begin with colibri_, so
// that a file says itself why Mosquitto does not read it. Of a number 0 means no limit,
// where nothing else is said.
type Own struct {
	WhenFull         string // which message gives way in a full queue: drop-newest, drop-oldest or reject
	ShareStrategy    string // which member of a Shared Subscription is next: see shareStrategies
	Sync             string // when the state is synced: always (before each acknowledgement) or interval
	StateQuota       int    // bytes of the state on disk
	Checkpoint       int    // bytes of the state on disk below which it is not shortened; never 0
	ServerReference  string // where clients are sent when this broker ends; empty for nowhere
	Control          string // absolute path of the control socket; None for none; empty for one in the state's directory
	Recorder         int    // bytes of the flight recorder; 0 for none
	RecorderDumps    string // directory for what it has of clients whose connection broke; empty for none
	DisconnectDenied bool   // clients before 5.0 that publish what they may not
	CheckPayloads    bool   // refuse what is not the UTF-8 that its Payload Format Indicator says

	MessageRate        int // PUBLISH packets of one client a second
	ByteRate           int // bytes of one client a second
	ConnectRate        int // CONNECT packets a second
	MaxUnauthenticated int // connections without an accepted CONNECT; never 0
	MaxSubscriptions   int // of one client
	MaxTopicLevels     int // never 0
	MaxTopicBytes      int
	MaxRetained        int
	MaxRetainedBytes   int
}

// whenFull are the values of colibri_when_full.
var whenFull = words("drop-newest drop-oldest reject")

// None is the value of an option that is for no file at all.
const None = "none"

// leastQuota is the smallest colibri_state_quota, in bytes.
const leastQuota = 64 << 10

// usualRecorder is how much memory the flight recorder has, in bytes, when it is wanted and
// nothing else is said.
const usualRecorder = 16 << 20

// leastRecorder is the smallest colibri_recorder besides 0, in bytes.
const leastRecorder = 512 << 10

// syncs are the values of colibri_sync.
var syncs = words("always interval")

// shareStrategies are the values of colibri_share_strategy.
var shareStrategies = words("round-robin least-inflight sticky hash-client hash-topic")

// ownOptions returns the rows of the table for Own.
func ownOptions() []option {
	count := func(name, standard string, min int, field func(*Own) *int) option {
		return option{names: words(name), kind: number, min: min, max: most, standard: standard, set: func(r *reader, v value) error {
			*field(&r.config.Own) = v.number
			return nil
		}}
	}
	yes := func(name string, field func(*Own) *bool) option {
		return option{names: words(name), kind: boolean, standard: "false", set: func(r *reader, v value) error {
			*field(&r.config.Own) = v.yes
			return nil
		}}
	}
	return []option{
		{names: words("colibri_when_full"), standard: whenFull[0], set: func(r *reader, v value) error {
			return r.oneOf(v.text, whenFull, &r.config.Own.WhenFull)
		}},
		{names: words("colibri_share_strategy"), standard: shareStrategies[0], set: func(r *reader, v value) error {
			return r.oneOf(v.text, shareStrategies, &r.config.Own.ShareStrategy)
		}},
		{names: words("colibri_sync"), standard: syncs[0], set: func(r *reader, v value) error {
			return r.oneOf(v.text, syncs, &r.config.Own.Sync)
		}},
		{names: words("colibri_server_reference"), set: func(r *reader, v value) error {
			r.config.Own.ServerReference = v.text
			return nil
		}},
		{names: words("colibri_control"), set: func(r *reader, v value) error {
			if v.text != None && !filepath.IsAbs(v.text) {
				return r.errorf("'%s' is not an absolute path; write one, such as /run/colibri.control, or none", v.text)
			}
			r.config.Own.Control = v.text
			return nil
		}},
		{names: words("colibri_recorder"), kind: number, max: 1 << 30, standard: "0", set: func(r *reader, v value) error {
			if v.number > 0 && v.number < leastRecorder {
				return r.errorf("%d bytes are too few for the flight recorder; give at least %d, or 0 for none", v.number, leastRecorder)
			}
			r.config.Own.Recorder = v.number
			return nil
		}},
		{names: words("colibri_recorder_dumps"), set: func(r *reader, v value) error {
			r.config.Own.RecorderDumps = v.text
			if r.config.Own.Recorder == 0 {
				r.config.Own.Recorder = usualRecorder
			}
			return nil
		}},
		count("colibri_checkpoint", "50331648", 64<<10, func(o *Own) *int { return &o.Checkpoint }),
		{names: words("colibri_state_quota"), kind: number, max: most, standard: "0", set: func(r *reader, v value) error {
			if v.number > 0 && v.number < leastQuota {
				return r.errorf("%d bytes are too few for a state; give at least %d, or 0 for no limit", v.number, leastQuota)
			}
			r.config.Own.StateQuota = v.number
			return nil
		}},
		yes("colibri_disconnect_denied", func(o *Own) *bool { return &o.DisconnectDenied }),
		yes("colibri_check_payloads", func(o *Own) *bool { return &o.CheckPayloads }),
		count("colibri_message_rate", "0", 0, func(o *Own) *int { return &o.MessageRate }),
		count("colibri_byte_rate", "0", 0, func(o *Own) *int { return &o.ByteRate }),
		count("colibri_connect_rate", "0", 0, func(o *Own) *int { return &o.ConnectRate }),
		count("colibri_max_unauthenticated", "10000", 1, func(o *Own) *int { return &o.MaxUnauthenticated }),
		count("colibri_max_subscriptions", "0", 0, func(o *Own) *int { return &o.MaxSubscriptions }),
		count("colibri_max_topic_levels", "200", 1, func(o *Own) *int { return &o.MaxTopicLevels }),
		count("colibri_max_topic_bytes", "0", 0, func(o *Own) *int { return &o.MaxTopicBytes }),
		count("colibri_max_retained", "0", 0, func(o *Own) *int { return &o.MaxRetained }),
		count("colibri_max_retained_bytes", "0", 0, func(o *Own) *int { return &o.MaxRetainedBytes }),
	}
}

// oneOf stores text if it is one of the values.
func (r *reader) oneOf(text string, values []string, into *string) error {
	for _, v := range values {
		if text == v {
			*into = text
			return nil
		}
	}
	return r.errorf("'%s' is none of %s", text, list(values))
}

// list writes values as in "a, b or c".
func list(values []string) string {
	text := values[0]
	for i, v := range values[1:] {
		if i == len(values)-2 {
			text += " or " + v
		} else {
			text += ", " + v
		}
	}
	return text
}
