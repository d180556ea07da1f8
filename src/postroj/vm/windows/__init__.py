"""What differs with a Windows guest: command lines, services, installers. No Windows guest was booted in the tests."""
