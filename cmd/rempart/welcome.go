package main

import "path/filepath"

// welcome prints the one screen that a person needs at a start without configuration.
func (s *server) welcome(c console, fresh bool) {
	state := "Rempart runs."
	if fresh {
		state = "Rempart runs for the first time; it made " + filepath.Dir(s.config.File) + " with a signing key and a configuration."
	}
	address := s.clientAddress()
	c.say(`
%s

  Server name     %s   (the part behind the colon of every account; it can never change once accounts exist)
  Address         %s
  Configuration   %s

  The first account, in another terminal in this folder:
      rempart user create -admin alice          (after make run: bin/rempart user create -admin alice)

  Element: choose "Sign in", then "Edit" beside the homeserver, and give it %s
      (a browser on another machine needs https: see docs/operate/proxy.md)

  Nobody else can register until registration.open or registration.tokens says so.   Stop with Ctrl-C.
`, state, s.config.Server.Name, address, s.config.File, address)
}
