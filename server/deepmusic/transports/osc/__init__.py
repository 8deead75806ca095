"""Control over OSC: a performer's rig drives the streams that run, and hears what happens to them."""
