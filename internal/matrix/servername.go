package matrix

import (
	"net/netip"
	"strings"
)

// ParseServerName checks a server name: host name, IPv4 or bracketed IPv6 literal, optional port.
// Spec: appendices/#server-name
func ParseServerName(s string) (ServerName, error) {
	if !validServerName(s) {
		return "", InvalidParam("Not a server name.")
	}
	return ServerName(s), nil
}

// Host is the name without its port; an IPv6 literal keeps its brackets.
func (s ServerName) Host() string {
	host, _ := splitPort(string(s))
	return host
}

// Port is the port text; empty when there is none.
func (s ServerName) Port() string {
	_, port := splitPort(string(s))
	return port
}

// splitPort cuts at the colon that is not inside brackets; port is "" when there is no colon.
func splitPort(s string) (host, port string) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 || strings.IndexByte(s[i:], ']') >= 0 {
		return s, ""
	}
	return s[:i], s[i+1:]
}

func validServerName(s string) bool {
	if s == "" || len(s) > MaxIDLength {
		return false
	}
	host, port := splitPort(s)
	if len(host) < len(s) && !validPort(port) {
		return false
	}
	if strings.HasPrefix(host, "[") {
		return validIPv6(host)
	}
	return validDNSName(host)
}

func validPort(s string) bool {
	if s == "" || len(s) > 5 {
		return false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

func validIPv6(host string) bool {
	if !strings.HasSuffix(host, "]") || len(host) < 4 {
		return false
	}
	addr, err := netip.ParseAddr(host[1 : len(host)-1])
	return err == nil && addr.Is6() && addr.Zone() == ""
}

func validDNSName(host string) bool {
	for i := range len(host) {
		if c := host[i]; !isAlnum(c) && c != '-' && c != '.' {
			return false
		}
	}
	return host != ""
}
