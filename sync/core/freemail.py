"""Domains at which anybody can have a mailbox: an address there says nothing about a company (product.md 8.1).

Well-known providers of the world, by region; `Policy.freemail_domains` adds more.
"""

from __future__ import annotations

FREEMAIL: frozenset[str] = frozenset(
    """
    gmail.com googlemail.com outlook.com hotmail.com live.com msn.com passport.com windowslive.com
    hotmail.co.uk hotmail.fr hotmail.de hotmail.it hotmail.es hotmail.be hotmail.ca hotmail.com.br hotmail.com.ar
    hotmail.com.mx hotmail.co.jp hotmail.se hotmail.nl hotmail.no hotmail.dk hotmail.fi hotmail.ch hotmail.com.au
    live.co.uk live.fr live.de live.it live.nl live.be live.ca live.se live.dk live.no live.com.au live.com.mx live.cn
    live.jp outlook.de outlook.fr outlook.es outlook.it outlook.pt outlook.at outlook.be outlook.dk outlook.ie
    outlook.jp outlook.kr outlook.com.br outlook.com.au outlook.co.id outlook.in outlook.sa
    yahoo.com ymail.com rocketmail.com myyahoo.com yahoo.co.uk yahoo.fr yahoo.de yahoo.it yahoo.es yahoo.ca yahoo.ie
    yahoo.com.br yahoo.com.ar yahoo.com.mx yahoo.com.au yahoo.co.nz yahoo.co.in yahoo.in yahoo.co.jp yahoo.co.id
    yahoo.co.kr yahoo.com.cn yahoo.com.hk yahoo.com.tw yahoo.com.sg yahoo.com.my yahoo.com.ph yahoo.com.vn yahoo.co.th
    yahoo.co.za yahoo.com.tr yahoo.gr yahoo.se yahoo.no yahoo.dk yahoo.nl yahoo.be yahoo.pl yahoo.ro yahoo.cz yahoo.hu
    aol.com aol.co.uk aol.de aol.fr aol.it aim.com netscape.net verizon.net
    icloud.com me.com mac.com privaterelay.appleid.com
    proton.me protonmail.com protonmail.ch pm.me tutanota.com tutanota.de tuta.io tuta.com tutamail.com keemail.me
    fastmail.com fastmail.fm fastmail.net hushmail.com hush.com mailbox.org posteo.de posteo.net posteo.org riseup.net
    disroot.org startmail.com runbox.com hey.com duck.com mozmail.com zohomail.com zohomail.eu zoho.com
    mail.com email.com usa.com post.com europe.com consultant.com engineer.com dr.com inbox.com lycos.com excite.com
    rediffmail.com indiatimes.com sify.com in.com
    gmx.de gmx.net gmx.at gmx.ch gmx.com gmx.eu gmx.info gmx.org gmx.co.uk gmx.fr gmx.us web.de email.de t-online.de
    freenet.de arcor.de online.de vodafone.de 1und1.de mail.de bluewin.ch hispeed.ch sunrise.ch aon.at chello.at
    orange.fr wanadoo.fr free.fr laposte.net sfr.fr neuf.fr bbox.fr numericable.fr club-internet.fr aliceadsl.fr
    libero.it virgilio.it tiscali.it alice.it tin.it tim.it inwind.it iol.it fastwebnet.it email.it poste.it
    telefonica.net terra.es ono.com sapo.pt iol.pt clix.pt
    ziggo.nl kpnmail.nl planet.nl home.nl hetnet.nl xs4all.nl casema.nl upcmail.nl telenet.be skynet.be proximus.be
    btinternet.com bt.com sky.com virginmedia.com ntlworld.com blueyonder.co.uk talktalk.net tiscali.co.uk
    tesco.net o2.co.uk plusnet.com eircom.net
    comcast.net att.net sbcglobal.net bellsouth.net cox.net charter.net spectrum.net earthlink.net optonline.net
    frontier.com windstream.net juno.com netzero.net roadrunner.com rr.com ameritech.net pacbell.net
    rogers.com shaw.ca telus.net bell.net sympatico.ca videotron.ca cogeco.ca
    bigpond.com bigpond.net.au optusnet.com.au iinet.net.au tpg.com.au xtra.co.nz
    telia.com bredband.net spray.se comhem.se online.no broadpark.no mail.dk stofanet.dk tdcadsl.dk luukku.com
    kolumbus.fi elisanet.fi saunalahti.fi suomi24.fi
    wp.pl o2.pl onet.pl op.pl interia.pl interia.eu poczta.fm poczta.onet.pl tlen.pl gazeta.pl vp.pl
    seznam.cz email.cz centrum.cz post.cz volny.cz azet.sk zoznam.sk centrum.sk freemail.hu citromail.hu t-online.hu
    abv.bg mail.bg net.hr inet.hr siol.net inbox.lv inbox.lt mail.ee
    otenet.gr forthnet.gr windowslive.gr mynet.com turk.net ttmail.com superonline.com
    mail.ru bk.ru inbox.ru list.ru internet.ru yandex.ru yandex.com ya.ru yandex.by yandex.kz yandex.ua rambler.ru
    lenta.ru ukr.net i.ua meta.ua bigmir.net tut.by
    walla.co.il walla.com netvision.net.il bezeqint.net 012.net.il maktoob.com
    qq.com foxmail.com vip.qq.com 163.com 126.com yeah.net vip.163.com 188.com sina.com sina.cn sohu.com 139.com
    189.cn 21cn.com aliyun.com tom.com wo.cn 263.net hinet.net pchome.com.tw seed.net.tw netvigator.com
    naver.com daum.net hanmail.net nate.com kakao.com hanafos.com
    docomo.ne.jp ezweb.ne.jp softbank.ne.jp i.softbank.jp nifty.com biglobe.ne.jp ocn.ne.jp so-net.ne.jp excite.co.jp
    uol.com.br bol.com.br terra.com.br ig.com.br globo.com globomail.com r7.com oi.com.br
    prodigy.net.mx ciudad.com.ar fibertel.com.ar speedy.com.ar arnet.com.ar vtr.net
    mweb.co.za telkomsa.net webmail.co.za vodamail.co.za
    guerrillamail.com mailinator.com yopmail.com 10minutemail.com temp-mail.org trashmail.com sharklasers.com
    """.split()
)
