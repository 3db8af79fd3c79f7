package arch

import (
	"fmt"
	"go/ast"
	"slices"
	"strconv"
	"strings"
)

// dialling names what opens connections outwards or resolves names, by package.
func dialling() map[string][]string {
	return map[string][]string{
		"net": {
			"Dial", "DialTimeout", "DialTCP", "DialUDP", "DialIP", "DialUnix", "Dialer", "Resolver", "DefaultResolver",
			"LookupAddr", "LookupCNAME", "LookupHost", "LookupIP", "LookupMX", "LookupNS", "LookupPort", "LookupSRV",
			"LookupTXT", "ResolveTCPAddr", "ResolveUDPAddr", "ResolveIPAddr",
		},
		"net/http": {
			"Client", "DefaultClient", "Transport", "DefaultTransport", "Get", "Post", "PostForm", "Head",
			"ProxyFromEnvironment",
		},
		"crypto/tls": {"Dial", "DialWithDialer", "Dialer"},
		"net/smtp":   {"Dial", "SendMail"}, // NewClient is handed a connection
		"net/rpc":    {"Dial", "DialHTTP", "DialHTTPPath"},
	}
}

// diallers are the packages that may dial: the one door.
func diallers() []string { return []string{"internal/egress"} }

// readers are the packages that read what people and other servers wrote: events, account data, keys, answers.
func readers() []string {
	return []string{"core", "clientapi", "adminapi", "mediaapi", "federation/client", "federation/inbound", "federation/keys", "federation/peers", "gateway", "internal/httpx", "storage"}
}

// Doors checks the rest of laws 2 and 6, and law 8: nothing but internal/egress goes out, the core speaks no HTTP, and what others wrote is
// read by the keys that it has.
func Doors(files []*File) []Breach {
	var broken []Breach
	for _, f := range files {
		if f.Test || within(f.Folder, diallers()...) {
			continue
		}
		names, core := importNames(f), within(f.Folder, "core")
		ast.Inspect(f.Syntax, func(n ast.Node) bool {
			selector, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			pkg, ok := selector.X.(*ast.Ident)
			if !ok {
				return true
			}
			imported, name := names[pkg.Name], selector.Sel.Name
			switch {
			case slices.Contains(dialling()[imported], name):
				broken = append(broken, Breach{f.where(n), fmt.Sprintf("uses %s.%s: law 6: the only way out is internal/egress", pkg.Name, name)})
			case core && imported == "net/http" && !strings.HasPrefix(name, "Status"):
				broken = append(broken, Breach{f.where(n), fmt.Sprintf("uses %s.%s: law 2: the core knows no HTTP but its status codes", pkg.Name, name)})
			case imported == "encoding/json" && name == "Unmarshal" && within(f.Folder, readers()...):
				broken = append(broken, Breach{f.where(n), fmt.Sprintf("uses %s.%s: law 8: what others wrote is read by matrix.Decode", pkg.Name, name)})
			}
			return true
		})
	}
	return broken
}

// importNames maps the names by which a file knows its imports to their paths.
func importNames(f *File) map[string]string {
	names := map[string]string{}
	for _, spec := range f.Syntax.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			continue
		}
		name := imported
		for i := len(imported) - 1; i >= 0; i-- {
			if imported[i] == '/' {
				name = imported[i+1:]
				break
			}
		}
		if spec.Name != nil {
			name = spec.Name.Name
		}
		names[name] = imported
	}
	return names
}
