package topic

import "strings"

// Level is one row of Explain: a level of the filter beside the level of the name that it
// is compared with.
type Level struct {
	Filter    string // the level of the filter
	HasFilter bool   // false if the filter has no such level (a level may be empty)
	Name      string // the level of the name; all that is left of it beside a final "#"
	HasName   bool   // false if the name has no such level
	Matches   bool
	Why       string // in plain words, such as "same" or "+ stands for exactly one level"
}

// Explain says why filter matches name or does not, level by level, down to the end of the
// longer of the two. It agrees with Match: the filter matches exactly if every row does.
func Explain(filter, name string) []Level {
	dollar := wildcardAgainstDollar(filter, name)
	plus := hasLevel(filter, "+")
	var levels []Level
	moreFilter, moreName := true, true
	for moreFilter || moreName {
		row := Level{HasFilter: moreFilter, HasName: moreName}
		if row.HasFilter {
			row.Filter, filter, moreFilter = strings.Cut(filter, "/")
		}
		if row.HasFilter && row.Filter == "#" && !moreFilter {
			if row.HasName {
				row.Name, moreName = name, false
			}
			row.Matches, row.Why = compareRest(row, levels)
		} else {
			if row.HasName {
				row.Name, name, moreName = strings.Cut(name, "/")
			}
			row.Matches, row.Why = compare(row, plus)
		}
		if dollar && len(levels) == 0 { // [MQTT-4.7.2-1]
			row.Matches, row.Why = false, "wildcards at the start do not match topics that begin with $"
		}
		levels = append(levels, row)
	}
	return levels
}

// compareRest judges a row whose filter level is a final "#"; above holds the rows before it.
func compareRest(row Level, above []Level) (matches bool, why string) {
	switch {
	case row.HasName:
		return true, "# stands for the rest"
	case above[len(above)-1].HasName:
		return true, "# matches its parent level too"
	}
	return false, "the topic has no such level"
}

// compare judges a row whose filter level is not a final "#". plus says that the filter
// has a "+" somewhere, which newcomers take for any number of levels.
func compare(row Level, plus bool) (matches bool, why string) {
	switch {
	case !row.HasFilter && plus:
		return false, "the topic has more levels; + stands for exactly one"
	case !row.HasFilter:
		return false, "the topic has more levels than the filter"
	case !row.HasName && row.Filter == "+":
		return false, "the topic has no such level; + stands for exactly one"
	case !row.HasName:
		return false, "the topic has no such level"
	case row.Filter == "+":
		return true, "+ stands for exactly one level"
	case row.Filter == row.Name:
		return true, "same"
	case strings.TrimSpace(row.Filter) == strings.TrimSpace(row.Name):
		return false, "differs by a space"
	case strings.EqualFold(row.Filter, row.Name):
		return false, "differs in upper and lower case"
	}
	return false, "differs"
}

// hasLevel reports whether one of the levels of text is level.
func hasLevel(text, level string) bool {
	for one := range strings.SplitSeq(text, "/") {
		if one == level {
			return true
		}
	}
	return false
}
