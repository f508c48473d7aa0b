"""The one script of the service's pages, of the trading view alone; its hash is all that the policy of that page lets in."""

from __future__ import annotations

import base64
import hashlib

SCRIPT = """
(()=>{
const say=document.getElementById("link");
let last=0,pause=2;
const heard=()=>{last=Date.now();pause=2};
const show=event=>{
  heard();
  const parts=JSON.parse(event.data);
  for(const [id,html] of Object.entries(parts)){
    const place=document.getElementById(id);
    if(!place){location.reload();return}
    place.innerHTML=html;
  }
  const shown=document.querySelector("[data-shown]").dataset.shown.split(" ");
  if([...document.querySelectorAll("[id^=account-]")].some(place=>!shown.includes(place.id)))location.reload();
};
const listen=()=>{
  const source=new EventSource(location.origin+"/trading/stream");
  source.onmessage=show;
  source.addEventListener("still",heard);
  source.onerror=()=>{
    if(source.readyState!==EventSource.CLOSED)return;
    setTimeout(listen,1000*pause);
    pause=Math.min(2*pause,60);
  };
};
listen();
setInterval(()=>{
  const age=(Date.now()-last)/1000;
  say.textContent=age<10?"Live: shown as it changes.":"No connection to the service; what stands here may be old.";
  document.body.classList.toggle("old",age>=10);
},1000);
document.addEventListener("submit",async event=>{
  event.preventDefault();
  const form=event.target,command=event.submitter.value,out=form.querySelector("output");
  if(command==="flatten"&&!confirm("Close every position of this account?"))return;
  out.textContent="Sending…";
  try{
    const answer=await fetch(location.origin+form.dataset.path,{method:"POST",credentials:"omit",headers:{"content-type":"application/json","x-api-key":form.key.value},
      body:JSON.stringify({command})});
    const told=await answer.json();
    out.textContent=answer.ok?"Thrown: "+told.command+". It acts at the next close at the latest.":told.message;
  }catch{out.textContent="The service did not answer: throw it at the machine."}
  form.key.value="";
});
})();
"""

SCRIPT_HASH = "sha256-" + base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
