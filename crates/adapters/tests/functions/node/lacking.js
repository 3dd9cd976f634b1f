require("a-package-that-nobody-has");
