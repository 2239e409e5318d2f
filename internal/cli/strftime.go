package cli

import (
	"fmt"
	"strings"
	"time"
)

// strftime returns what strftime(3) prints for "%" and verb in the C locale. A verb it
// does not know comes back as it was written, as the C library of GNU does.
func strftime(t time.Time, verb byte) string {
	if layout, ok := strftimeLayouts[verb]; ok {
		return t.Format(layout)
	}
	switch verb {
	case 'C':
		return fmt.Sprintf("%02d", t.Year()/100)
	case 'g', 'G', 'V':
		year, week := t.ISOWeek()
		switch verb {
		case 'g':
			return fmt.Sprintf("%02d", year%100)
		case 'G':
			return fmt.Sprint(year)
		}
		return fmt.Sprintf("%02d", week)
	case 'I':
		return fmt.Sprintf("%02d", hour12(t))
	case 'j':
		return fmt.Sprintf("%03d", t.YearDay())
	case 'k':
		return fmt.Sprintf("%2d", t.Hour())
	case 'l':
		return fmt.Sprintf("%2d", hour12(t))
	case 'n':
		return "\n"
	case 'P':
		return strings.ToLower(t.Format("PM"))
	case 's':
		return fmt.Sprint(t.Unix())
	case 't':
		return "\t"
	case 'u':
		return fmt.Sprint((int(t.Weekday())+6)%7 + 1)
	case 'U':
		return fmt.Sprintf("%02d", (t.YearDay()+6-int(t.Weekday()))/7)
	case 'w':
		return fmt.Sprint(int(t.Weekday()))
	case 'W':
		return fmt.Sprintf("%02d", (t.YearDay()+6-(int(t.Weekday())+6)%7)/7)
	case '%':
		return "%"
	}
	return "%" + string([]byte{verb})
}

// strftimeLayouts are the verbs that package time has a layout for.
var strftimeLayouts = map[byte]string{
	'a': "Mon",
	'A': "Monday",
	'b': "Jan",
	'B': "January",
	'c': "Mon Jan _2 15:04:05 2006",
	'd': "02",
	'D': "01/02/06",
	'e': "_2",
	'F': "2006-01-02",
	'h': "Jan",
	'H': "15",
	'm': "01",
	'M': "04",
	'p': "PM",
	'r': "03:04:05 PM",
	'R': "15:04",
	'S': "05",
	'T': "15:04:05",
	'x': "01/02/06",
	'X': "15:04:05",
	'y': "06",
	'Y': "2006",
	'z': "-0700",
	'Z': "MST",
}

func hour12(t time.Time) int {
	if hour := t.Hour() % 12; hour != 0 {
		return hour
	}
	return 12
}
