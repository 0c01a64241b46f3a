package strictarp

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Root is where the kernel has the settings of the interfaces of this network namespace.
const Root = "/proc/sys/net/ipv4/conf"

// Lenient returns those of some interfaces on which the kernel answers for, or tells of, addresses of other
// interfaces, sorted. One that is not there, as it has just gone, is none of them.
func Lenient(root fs.FS, links []string) ([]string, error) {
	all, err := read(root, "all")
	if err != nil {
		return nil, err
	}
	var out []string
	for _, l := range links {
		own, err := read(root, l)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return nil, err
		case !all.with(own).strict():
			out = append(out, l)
		}
	}
	slices.Sort(out)
	return out, nil
}

// settings are arp_ignore and arp_announce of an interface (the kernel's networking/ip-sysctl.rst).
type settings struct{ ignore, announce int }

// with returns what is active on an interface with these settings: the greater of its own and of all.
func (s settings) with(o settings) settings {
	return settings{max(s.ignore, o.ignore), max(s.announce, o.announce)}
}

// strict reports whether an interface answers for its own addresses only, and tells of no others. Of arp_ignore 1
// and 2 do the former, and 8 does not answer at all; what is between goes by the scope of addresses, or is reserved. Of
// arp_announce only 2 does the latter.
func (s settings) strict() bool {
	return (s.ignore == 1 || s.ignore == 2 || s.ignore == 8) && s.announce == 2
}

func read(root fs.FS, link string) (s settings, err error) {
	if s.ignore, err = number(root, path.Join(link, "arp_ignore")); err != nil {
		return s, err
	}
	s.announce, err = number(root, path.Join(link, "arp_announce"))
	return s, err
}

func number(root fs.FS, name string) (int, error) {
	text, err := fs.ReadFile(root, name)
	if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0, fmt.Errorf("parse %s: %w", name, err)
	}
	return n, nil
}
