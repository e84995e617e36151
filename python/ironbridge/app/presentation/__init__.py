"""How an application is seen from outside."""
