package policy

// Simple is the policy of a server without a policy file: the short settings of its configuration.
type Simple struct {
	Federation, Push, Previews                      []string
	FederationPrivate, PushPrivate, PreviewsPrivate bool
}

// File is the same as the text of a policy.
func (s Simple) File() *File {
	f := &File{Version: 1, Outside: []Outside{
		{Point: PushSend, Hosts: s.Push, Private: s.PushPrivate},
		{Point: MediaPreview, Hosts: s.Previews, Private: s.PreviewsPrivate},
		{Point: ServiceSend, Hosts: []string{configured}, Private: true},
		{Point: NotifyMail, Hosts: []string{configured}, Private: true},
		{Point: MediaScan, Hosts: []string{configured}, Private: true},
		{Point: StoreOpen, Hosts: []string{configured}, Private: true},
		{Point: RTCMedia, Hosts: []string{configured}, Private: true},
		{Point: RTCICE, Hosts: []string{"*"}, Private: true},
		{Point: InfraDNS, Hosts: []string{configured}, Private: true},
		{Point: IdentityAsk, Hosts: []string{configured}, Private: true},
	}}
	for _, name := range s.Federation {
		f.Partners = append(f.Partners, Partner{Server: name, Allow: Data(), Private: s.FederationPrivate})
	}
	return f
}
