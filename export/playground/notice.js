// A browser without WebAssembly, or without modules, still runs this.
"use strict";
if (typeof WebAssembly === "undefined")
  document.getElementById("notice").textContent = "This browser has no WebAssembly, or it is turned off, and the page cannot train without it. Turn it on, or open the page in a current Chromium, Firefox or Safari.";
