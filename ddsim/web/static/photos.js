// Where photos come from: the file dialogue, the camera, the clipboard, and files dropped anywhere on the page.

import { $ } from "./draw.js";

export function choose() {
  $("picture").click();
}

/**
 * Wait for photos.
 * @param {(file: File) => void} take told of each
 * @param {() => void} refuse told that something was dropped which is no file
 */
export function photos(take, refuse) {
  for (const input of [$("picture"), $("camera")]) {
    input.addEventListener("change", () => {
      const [file] = input.files;
      if (file) take(file);
      input.value = ""; // so that the same photo can be chosen once more
    });
  }
  document.addEventListener("paste", (event) => {
    const file = event.clipboardData?.files[0];
    if (file) take(file);
  });
  drops(take, refuse);
}

function drops(take, refuse) {
  let inside = 0; // elements are entered before those around them are left
  const over = (count) => {
    inside = count;
    $("dropping").hidden = inside <= 0;
  };
  const carriesFiles = (event) => event.dataTransfer?.types.includes("Files");
  addEventListener("dragenter", (event) => carriesFiles(event) && over(inside + 1));
  addEventListener("dragleave", (event) => carriesFiles(event) && over(inside - 1));
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => {
    event.preventDefault();
    over(0);
    const file = event.dataTransfer?.files[0];
    if (file) take(file);
    else refuse();
  });
}
