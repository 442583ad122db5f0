"""The forms and endpoints of Desmos, so that its nodes replicate with this one."""
