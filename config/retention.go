package config

// Retention says for how many days what nobody needs any more is kept; 0 takes the default.
type Retention struct {
	StreamDays       int `key:"stream_days"`
	TransactionsDays int `key:"transactions_days"`
	ToDeviceDays     int `key:"to_device_days"`
	// Messages says whether messages of rooms are deleted by their age; the days say by which.
	Messages            bool `key:"messages"`
	MessagesDefaultDays int  `key:"messages_default_days"`
	MessagesMinDays     int  `key:"messages_min_days"`
	MessagesMaxDays     int  `key:"messages_max_days"`
}

// maxDays is the greatest number of days that are kept count of: a hundred years.
const maxDays = 36_525

func (c *Config) checkRetention(say sayer) {
	r := c.Retention
	for _, n := range []int{r.StreamDays, r.TransactionsDays, r.ToDeviceDays, r.MessagesDefaultDays, r.MessagesMinDays, r.MessagesMaxDays} {
		if n < 0 || n > maxDays {
			say("retention: a number of days cannot be negative, nor be more than a hundred years.")
			return
		}
	}
	if r.MessagesMinDays == 0 {
		say("retention.messages_min_days: the least is 1.")
	}
	if most := r.MessagesMaxDays; most > 0 && (r.MessagesMinDays > most || r.MessagesDefaultDays > most) {
		say("retention.messages_max_days: %d is less than messages_min_days or messages_default_days.", most)
	}
	if r.MessagesDefaultDays > 0 && r.MessagesDefaultDays < r.MessagesMinDays {
		say("retention.messages_default_days: %d is less than messages_min_days.", r.MessagesDefaultDays)
	}
	if !r.Messages && (r.MessagesDefaultDays > 0 || r.MessagesMaxDays > 0) {
		say("retention.messages: must be true for messages_default_days and messages_max_days to delete anything.")
	}
}
